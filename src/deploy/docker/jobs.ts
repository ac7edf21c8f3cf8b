import { containerOutput } from '../../container/docker/output.ts';
import {
  type ContainerState,
  inspectContainer,
  killContainer,
  listContainers,
  putFiles,
  removeContainer,
  startContainer,
} from '../../container/docker/containers.ts';
import type { DockerEngine } from '../../container/docker/engine.ts';
import { asked } from '../../container/docker/error.ts';
import { pullImage } from '../../container/docker/images.ts';
import { ensureNetwork } from '../../container/docker/networks.ts';
import type { JobEnd, Target } from '../driver.ts';
import { type InstanceSpec, type RuntimeContext, type RuntimeJobs, targetKey } from '../rollout.ts';
import { LABEL } from './labels.ts';
import { checkSecretNames, SECRETS_FOLDER } from './secrets.ts';
import { type MakeContainer, wishOf } from './wish.ts';

/** Of a container that runs to its end: whose it is. It has no other label of a replica, and so is none. */
const JOB = 'dev.towpath.job';

interface DockerJobsParts {
  readonly engine: () => Promise<DockerEngine>;
  readonly installation: string;
  readonly make: MakeContainer;
  readonly nameOf: (id: string) => string;
  readonly networkOf: (target: Target) => string;
}

/**
 * Jobs as containers, which go on while the server is away: whoever comes back finds them at work or ended, by their name. One
 * stays until it is forgotten, so that its end is seen though the server was killed meanwhile.
 */
export function dockerJobs(parts: DockerJobsParts): RuntimeJobs {
  return {
    async run(instance, { timeoutMs, begun, begin }, context) {
      const engine = await parts.engine();
      const name = parts.nameOf(instance.id);
      const before = await inspectContainer(engine, name);
      if (before === null && begun) return { kind: 'lost' };
      if (before === null || !wasStarted(before)) {
        await make(parts, engine, instance, context);
        await begin();
        await startContainer(engine, name);
      } else {
        context.log('It was begun before this server was; what it printed since then:');
      }
      return follow(engine, name, timeoutMs, context);
    },
    async forget(_target, id) {
      await removeContainer(await parts.engine(), parts.nameOf(id));
    },
  };
}

/** The engine gives the year 1 to what was never started. */
function wasStarted({ startedAtMs }: ContainerState): boolean {
  return startedAtMs > 0;
}

/** All that is left of jobs of a target, also of one that a killed server left at work and nobody asked for again. */
export async function removeJobs(engine: DockerEngine, installation: string, target: Target): Promise<void> {
  for (const { name } of await listContainers(engine, labelsFor(installation, target)))
    await removeContainer(engine, name);
}

function labelsFor(installation: string, target: Target): Record<string, string> {
  return { [LABEL.installation]: installation, [JOB]: targetKey(target) };
}

/** Whatever else is left of jobs of the environment is of promotions that ended: one at a time works there. */
async function make(
  { installation, networkOf, nameOf, make: makeContainer }: DockerJobsParts,
  engine: DockerEngine,
  instance: InstanceSpec,
  context: RuntimeContext,
): Promise<void> {
  const { target, service, secrets } = instance;
  const labels = labelsFor(installation, target);
  checkSecretNames(secrets);
  const image = await pullImage(engine, `${service.image}@${service.digest}`, context);
  const network = networkOf(target);
  await ensureNetwork(engine, network, { [LABEL.installation]: installation, [LABEL.target]: targetKey(target) });
  await removeJobs(engine, installation, target);
  context.signal.throwIfAborted();
  const name = nameOf(instance.id);
  const wish = wishOf({ engine, name, instance, network, onMachine: null, labels, restarts: false }, image);
  const { hasSecretsFolder: isThere } = await makeContainer(wish, context);
  if (secrets.size > 0) await putFiles(engine, name, SECRETS_FOLDER, secrets, { isThere });
}

async function follow(
  engine: DockerEngine,
  name: string,
  timeoutMs: number,
  { log, signal }: RuntimeContext,
): Promise<JobEnd> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const stopped = AbortSignal.any([signal, deadline]);
  const kill = (): void => void killContainer(engine, name).catch(() => undefined);
  stopped.addEventListener('abort', kill, { once: true });
  if (stopped.aborted) kill();
  try {
    const whole = { from: { after: '' }, follow: true, signal } as const;
    for await (const { lines } of containerOutput(engine, name, whole)) for (const line of lines) log(line);
    await asked(`wait for ${name}`, engine.docker.getContainer(name).wait(), signal);
  } finally {
    stopped.removeEventListener('abort', kill);
    if (signal.aborted) await removeContainer(engine, name);
  }
  signal.throwIfAborted();
  const state = await inspectContainer(engine, name);
  if (state === null) return { kind: 'lost' };
  if (deadline.aborted) return { kind: 'timed-out' };
  return state.outOfMemory ? { kind: 'out-of-memory' } : { kind: 'exited', code: state.exitCode };
}
