import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';

const PATIENCE_MS = 60_000;

/** Starts a program that stays, and waits until it is ready. Its words go to a file; a failed start quotes the end of it. */
export async function startDaemon({ program, argv, log, isReady, options = {}, stopSignal = 'SIGTERM' }) {
  const file = await open(log, 'a');
  const child = spawn(program, argv, { ...options, detached: true, stdio: ['ignore', file.fd, file.fd] });
  let ended = null;
  const end = new Promise((resolve) => {
    child.once('error', (error) => resolve((ended = error.message)));
    child.once('exit', (code, signal) => resolve((ended = `it ended with ${code ?? signal}`)));
  });
  await file.close();

  for (const giveUpAt = Date.now() + PATIENCE_MS; ; await wait(30)) {
    if (await isReady().catch(() => false)) break;
    if (ended === null && Date.now() < giveUpAt) continue;
    if (ended === null) child.kill('SIGKILL');
    const words = (await readFile(log, 'utf8')).split('\n').slice(-15).join('\n');
    throw new Error(`${program} did not start (${ended ?? 'it was not ready in time'}):\n${words}`);
  }
  return {
    stop: async () => {
      if (ended === null) child.kill(stopSignal);
      await Promise.race([end, wait(20_000, undefined, { ref: false })]);
      if (ended === null) child.kill('SIGKILL');
      await end;
    },
  };
}
