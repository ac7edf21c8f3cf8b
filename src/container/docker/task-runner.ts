import { allEnded } from '../../lib/all-ended.ts';
import type { RunResult, RunSpec, TaskRunner } from '../runtime.ts';
import { addressesOf, type Beside, lostOf, removeBeside, startBeside, untilReady } from './beside.ts';
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

/** Every container (and network) of a task carries this label with the task's name, so that a sweep finds what a killed server left. */
export const TASK_LABEL = 'dev.towpath.task';

/** Runs a program to its end in a container of its own, with what it needs beside it; all are removed whatever happens. */
export function dockerTaskRunner(engine: DockerEngine): TaskRunner {
  return {
    name: 'docker',
    isolates: true,
    async run(spec, { log, signal, timeoutMs }) {
      signal.throwIfAborted();
      const labels = { ...spec.labels, [TASK_LABEL]: spec.name };
      const beside: Beside = { engine, task: spec.name, parts: spec.beside ?? [], labels };
      const remove = async (): Promise<void> => {
        await removeContainer(engine, spec.name);
        if (beside.parts.length > 0) await removeBeside(beside);
      };
      await remove(); // left by a server that was killed in the middle
      try {
        const pulled = pullImage(engine, spec.image.reference, { log, signal });
        if (beside.parts.length === 0) {
          await pulled;
          await createContainer(engine, { ...spec, labels });
          return await runToEnd(engine, spec, log, signal, timeoutMs);
        }
        await allEnded([pulled, startBeside(beside, { log, signal })]);
        const [why] = await allEnded([untilReady(beside, { log, signal }), createBeside(beside, { ...spec, labels })]);
        if (why !== null) return { kind: 'unready', why };
        const result = await runToEnd(engine, spec, log, signal, timeoutMs);
        const lost = await lostOf(beside);
        return lost.length === 0 ? result : { ...result, lost };
      } finally {
        await remove();
      }
    },
  };
}

async function createBeside(beside: Beside, spec: RunSpec): Promise<void> {
  const isInside = spec.network === undefined;
  const where = isInside ? { network: beside.task } : { hosts: await addressesOf(beside) };
  await createContainer(beside.engine, spec, { ...where, restarts: false });
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
