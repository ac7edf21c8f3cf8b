import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

import type { TaskRunner } from '../../container/runtime.ts';

/**
 * Keeps the contract of a runner by copying: image and mounts are laid into a folder of their own, the program runs
 * there on this machine, and only what is mounted writable comes back. Slow, isolates nothing, and needs no rights.
 */
export function copyingRunner(): TaskRunner & { readonly left: () => number } {
  let running = 0;
  return {
    name: 'host',
    isolates: false,
    left: () => running,
    async run(spec, { log, signal, timeoutMs }) {
      running++;
      const root = await mkdtemp(join(tmpdir(), 'copying-'));
      try {
        if (spec.image.rootfs !== undefined)
          await cp(spec.image.rootfs, root, { recursive: true, verbatimSymlinks: true });
        for (const { from, to } of spec.mounts ?? []) {
          await mkdir(dirname(join(root, to)), { recursive: true });
          await cp(from, join(root, to), { recursive: true, verbatimSymlinks: true });
        }
        const [program = '', ...args] = spec.argv ?? spec.image.config.entrypoint;
        const child = spawn(program, args, {
          cwd: join(root, spec.workdir ?? '/'),
          env: {
            PATH: process.env['PATH'],
            ...spec.image.config.env,
            ...spec.env,
            ...(spec.serves === undefined ? {} : { PORT: String(spec.serves.onMachine) }),
          },
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', log);
        const deadline = AbortSignal.timeout(timeoutMs);
        const stop = AbortSignal.any([signal, deadline]);
        const kill = (): void => void child.kill('SIGKILL');
        if (stop.aborted) kill();
        stop.addEventListener('abort', kill, { once: true });
        const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
        stop.removeEventListener('abort', kill);
        signal.throwIfAborted();
        if (deadline.aborted) return { kind: 'timed-out' };
        for (const { from, to, writable } of spec.mounts ?? [])
          if (writable) await cp(join(root, to), from, { recursive: true, verbatimSymlinks: true });
        return code === null ? { kind: 'killed', signal: killedBy ?? 'SIGKILL' } : { kind: 'exited', code };
      } finally {
        await rm(root, { recursive: true, force: true });
        running--;
      }
    },
  };
}
