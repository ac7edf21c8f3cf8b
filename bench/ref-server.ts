import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A server of refs in a process of its own. */
export async function startRefServer(refs: number): Promise<{ origin: string; close: () => Promise<void> }> {
  const child = spawn(process.execPath, ['bench/ref-server-process.js', String(refs)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [origin] = (await once(createInterface(child.stdout), 'line')) as [string];
  return {
    origin,
    close: async () => {
      const gone = once(child, 'exit');
      child.stdin.end();
      await gone;
    },
  };
}
