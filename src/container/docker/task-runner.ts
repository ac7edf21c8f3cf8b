import type { RunResult, RunSpec, TaskRunner } from '../runtime.ts';
import {
  attachLog,
  createContainer,
  inspectContainer,
  killContainer,
  removeContainer,
  startContainer,
} from './containers.ts';
import type { DockerEngine } from './engine.ts';
import { asked } from './error.ts';
import { pullImage } from './images.ts';

/** Every container that ran a task carries this label with the task's name, so that a sweep finds what a killed server left. */
export const TASK_LABEL = 'dev.towpath.task';

/** Runs a program to its end in a container of its own, which is removed whatever happens. */
export function dockerTaskRunner(engine: DockerEngine): TaskRunner {
  return {
    name: 'docker',
    isolates: true,
    async run(spec, { log, signal, timeoutMs }) {
      signal.throwIfAborted();
      await pullImage(engine, spec.image.reference, { log, signal });
      await removeContainer(engine, spec.name); // left by a server that was killed in the middle
      await createContainer(engine, { ...spec, labels: { ...spec.labels, [TASK_LABEL]: spec.name } });
      try {
        return await runToEnd(engine, spec, log, signal, timeoutMs);
      } finally {
        await removeContainer(engine, spec.name);
      }
    },
  };
}

async function runToEnd(
  engine: DockerEngine,
  spec: RunSpec,
  log: (line: string) => void,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<RunResult> {
  const output = await attachLog(engine, spec.name, log);
  const deadline = AbortSignal.timeout(timeoutMs);
  const stopped = AbortSignal.any([signal, deadline]);
  const kill = (): void => void killContainer(engine, spec.name).catch(() => undefined); // it is removed at the end
  stopped.addEventListener('abort', kill, { once: true });
  try {
    await startContainer(engine, spec.name);
    if (stopped.aborted) kill(); // called off while it started: there was nothing to kill then
    await asked(`wait for ${spec.name}`, engine.docker.getContainer(spec.name).wait(), stopped);
    await output.ended;
    const state = await inspectContainer(engine, spec.name);
    if (state !== null && !stopped.aborted) {
      return state.outOfMemory ? { kind: 'out-of-memory' } : { kind: 'exited', code: state.exitCode };
    }
  } catch (error) {
    if (!stopped.aborted) throw error;
  } finally {
    stopped.removeEventListener('abort', kill);
  }
  signal.throwIfAborted();
  return { kind: 'timed-out' };
}
