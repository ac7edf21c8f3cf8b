import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';
import { onTestFinished } from 'vitest';

export interface Program {
  readonly pid: number;
  readonly stdin: Writable;
  /** Resolves with the first line of its output that satisfies `wanted`, also one printed before; rejects when it ends without. */
  line(wanted: (line: string) => boolean): Promise<string>;
  readonly lines: readonly string[];
  kill(signal: NodeJS.Signals): void;
  /** How it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** Bundles a TypeScript program of the tests, so that it can run as a process of its own (and be killed). */
export async function bundle(entry: string): Promise<string> {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const directory = join(root, 'node_modules', '.cache', 'towpath-test');
  await mkdir(directory, { recursive: true });
  const outfile = join(directory, `${entry.replace(/^.*\/src\//, '').replace(/\W+/g, '-')}-${process.pid}.mjs`);
  process.once('exit', () => rmSync(outfile, { force: true }));
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    sourcemap: 'inline',
    logLevel: 'error',
  });
  return outfile;
}

/** Starts a bundled program; it is killed when the test ends. */
export function startProgram(file: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    process.execPath,
    ['--enable-source-maps', file, ...argv],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    },
  );
  child.stdin.on('error', () => undefined);
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  const look = (): void => watchers.forEach((watcher) => watcher());
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    look();
  });
  let over = false;
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('close', (code, signal) => {
      over = true;
      look();
      resolve({ code, signal });
    });
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    pid: child.pid ?? 0,
    stdin: child.stdin,
    lines,
    ended,
    kill: (signal) => void child.kill(signal),
    line: (wanted) =>
      new Promise((resolve, reject) => {
        const watcher = (): void => {
          const found = lines.find((line) => wanted(line));
          if (found === undefined && !over) return;
          watchers.delete(watcher);
          if (found !== undefined) resolve(found);
          else
            reject(new Error(`The program ended without the line that was waited for. It said:\n${lines.join('\n')}`));
        };
        watchers.add(watcher);
        watcher();
      }),
  };
}
