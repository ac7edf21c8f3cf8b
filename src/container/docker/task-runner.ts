import { allEnded } from '../../lib/all-ended.ts';
import { isGone, MAKER } from '../../lib/maker.ts';
import { untilTrue } from '../../lib/until.ts';
import type { RunResult, RunSpec, Serves, TaskRunner } from '../runtime.ts';
import { addressesOf, type Beside, lostOf, removeBeside, startBeside, untilReady } from './beside.ts';
import {
  attachLog,
  createContainer,
  inspectContainer,
  killContainer,
  listContainers,
  removeContainer,
  startContainer,
} from './containers.ts';
import type { DockerEngine } from './engine.ts';
import { asked } from './error.ts';
import { pullImage } from './images.ts';
import { listNetworks, removeNetwork } from './networks.ts';

/** Every container (and network) of a task carries this label with the task's name, so that a sweep finds what a killed server left. */
export const TASK_LABEL = 'dev.towpath.task';

/** Which server made them, and the installation that it works for. */
const MAKER_LABEL = 'dev.towpath.maker';
const INSTALLATION_LABEL = 'dev.towpath.installation';

/** Of this process, now. */
const running = new Set<string>();

/** Removes containers and networks of tasks that nobody runs any more: those of a server that was killed. */
export async function sweepDockerTasks(engine: DockerEngine, installation: string): Promise<void> {
  const ours = { [INSTALLATION_LABEL]: installation };
  const isLeft = ({ labels }: { readonly labels: Readonly<Record<string, string>> }): boolean => {
    const task = labels[TASK_LABEL];
    if (task === undefined || running.has(task)) return false;
    const maker = labels[MAKER_LABEL] ?? '';
    return maker === MAKER || isGone(maker);
  };
  const containers = (await listContainers(engine, ours)).filter(isLeft);
  await Promise.all(containers.map(({ name }) => removeContainer(engine, name)));
  const networks = (await listNetworks(engine, ours)).filter(isLeft);
  for (const { name } of networks) await removeNetwork(engine, name);
}

/** Runs a program to its end in a container of its own, with what it needs beside it; all are removed whatever happens. */
export function dockerTaskRunner(engine: DockerEngine, installation = ''): TaskRunner {
  return {
    name: 'docker',
    isolates: true,
    async run(spec, { log, signal, timeoutMs }) {
      signal.throwIfAborted();
      const labels = {
        ...spec.labels,
        [TASK_LABEL]: spec.name,
        [MAKER_LABEL]: MAKER,
        [INSTALLATION_LABEL]: installation,
      };
      const beside: Beside = { engine, task: spec.name, parts: spec.beside ?? [], labels };
      const remove = async (): Promise<void> => {
        await removeContainer(engine, spec.name);
        if (beside.parts.length > 0) await removeBeside(beside);
      };
      running.add(spec.name);
      try {
        await remove(); // left by a server that was killed in the middle
        const pulled = pullImage(engine, spec.image.reference, { log, signal });
        if (beside.parts.length === 0) {
          await pulled;
          await createContainer(engine, { ...told(spec), labels }, { ...reached(spec), restarts: false });
          return await runToEnd(engine, spec, log, signal, timeoutMs);
        }
        await allEnded([pulled, startBeside(beside, { log, signal })]);
        const [why] = await allEnded([
          untilReady(beside, { log, signal }),
          createBeside(beside, { ...told(spec), labels }),
        ]);
        if (why !== null) return { kind: 'unready', why };
        const result = await runToEnd(engine, spec, log, signal, timeoutMs);
        const lost = await lostOf(beside);
        return lost.length === 0 ? result : { ...result, lost };
      } finally {
        await remove().finally(() => running.delete(spec.name));
      }
    },
  };
}

async function createBeside(beside: Beside, spec: RunSpec): Promise<void> {
  const isInside = spec.network === undefined;
  const where = isInside ? { network: beside.task } : { hosts: await addressesOf(beside) };
  await createContainer(beside.engine, spec, { ...where, ...reached(spec), restarts: false });
}

function told<Spec extends RunSpec>(spec: Spec): Spec {
  return spec.serves === undefined ? spec : { ...spec, env: { ...spec.env, PORT: String(spec.serves.inside) } };
}

function reached({ serves }: RunSpec): { port?: Serves } {
  return serves === undefined ? {} : { port: serves };
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
      if (state.outOfMemory || (await isFoundOutLater(engine, spec, state.exitCode, stopped)))
        return { kind: 'out-of-memory' };
      return { kind: 'exited', code: state.exitCode };
    }
  } catch (error) {
    if (!stopped.aborted) throw error;
  } finally {
    stopped.removeEventListener('abort', kill);
  }
  signal.throwIfAborted();
  return { kind: 'timed-out' };
}

const BY_SIGKILL = 137;
const LATER_MS = 2_000;

/** The engine hears of the end and of its reason from two places, on a busy machine of the reason a moment later. */
async function isFoundOutLater(
  engine: DockerEngine,
  { name, limits }: RunSpec,
  exitCode: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (exitCode !== BY_SIGKILL || limits?.memoryMb === undefined) return false;
  const ask = async (): Promise<boolean> => (await inspectContainer(engine, name))?.outOfMemory === true;
  return untilTrue(ask, { everyMs: 50, timeoutMs: LATER_MS, signal });
}
