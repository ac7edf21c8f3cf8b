import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** Where a program of this machine lies; null when it is not installed. System folders are searched also when PATH lacks them. */
export async function findProgram(name: string): Promise<string | null> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  for (const folder of folders.filter((folder) => folder.startsWith('/'))) {
    const path = join(folder, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return null;
}

/** Runs a short program of this machine to its end. @returns its exit code; -1 when it did not start or was killed */
export function runQuietly(
  argv: readonly [string, ...string[]],
  options: { readonly timeoutMs?: number; readonly account?: { uid: number; gid: number } | null } = {},
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(argv[0], argv.slice(1), {
      stdio: 'ignore',
      timeout: options.timeoutMs ?? 10_000,
      killSignal: 'SIGKILL',
      ...options.account,
    });
    child.once('error', () => resolve(-1));
    child.once('exit', (code) => resolve(code ?? -1));
  });
}
