import { setTimeout as wait } from 'node:timers/promises';

import { z } from 'zod';

import type { Clock } from '../lib/clock.ts';
import { redact } from '../secret/redact.ts';
import type { Secrets } from '../secret/secret.ts';
import { ageMeter } from './age.ts';
import { DeployError } from './deploy-error.ts';
import type { ApplyContext, Desired, DeployDriver, DesiredService, Target } from './driver.ts';
import { servingOrNone } from './ledger-store.ts';
import { healthOf, observe, type ObserverParts, PLAIN_PROBE } from './local-observer.ts';
import { outputOf } from './output.ts';
import { jobsOf, secretsFor, serviceOf } from './local-jobs.ts';
import { type Instance, planRollout, type RolloutAction, targetKey } from './rollout.ts';
import type { DriverStatement } from './statement.ts';

export interface LocalDriverParts extends Omit<ObserverParts, 'ageOf'> {
  readonly statement: DriverStatement<LocalConfig>;
  /** How a plan calls what it does: `run as host processes (not isolated)`. */
  readonly how: string;
  readonly secrets: Secrets;
  readonly clock: Clock;
}

type Parts = LocalDriverParts & ObserverParts;

/** The parts during one rollout, and how often each instance was found at work in it. */
type RolloutParts = Parts & { readonly looks: Map<string, number> };

export const LocalConfig = z.strictObject({
  drainMs: z
    .number()
    .int()
    .min(0)
    .max(3_600_000)
    .default(30_000)
    .describe('How long requests to the old version may take to end'),
  graceMs: z
    .number()
    .int()
    .min(0)
    .max(600_000)
    .default(10_000)
    .describe('How long a program may take to end when asked to'),
});
export type LocalConfig = z.infer<typeof LocalConfig>;

const FIRST_PROBES_MS = 50;
/** A pause of the machine makes a program older, not better: a worker is found at work so often, too, before it counts as well. */
const LOOKS = 6;
const TAIL_LINES = 20;

type Driver = DeployDriver<LocalConfig, RolloutAction>;
export type LocalDriver = Required<Omit<Driver, 'jobs' | 'waitMs' | 'waitsFor'>> & Pick<Driver, 'jobs'>;

/** A driver for one machine: the shared rollout over a `Runtime`. */
export function createLocalDriver(given: LocalDriverParts): LocalDriver {
  const parts: Parts = { ...given, ageOf: ageMeter(given.clock) };
  return {
    ...(parts.runtime.jobs === undefined ? {} : { jobs: jobsOf(parts.runtime.jobs, parts) }),
    ...parts.statement,
    plan: (desired, observed) => planRollout(desired, observed, parts.how),
    apply: (desired, actions, context) => apply({ ...parts, looks: new Map() }, desired, actions, context),
    observe: (target) => observe(parts, target),
    destroy: (target, context) => destroy(parts, target, context),
    handOver: (target, context) => handOver(parts, target, context),
    output: (target, question) => outputOf(parts.runtime, target, question),
  };
}

async function apply(
  parts: RolloutParts,
  desired: Desired<LocalConfig>,
  actions: readonly RolloutAction[],
  context: ApplyContext,
): Promise<void> {
  try {
    for (const action of actions) {
      context.signal.throwIfAborted();
      await parts.ledger.claim(desired.target, context.token);
      context.log(action.summary);
      await act(parts, desired, action, context);
    }
  } catch (error) {
    await tellOutput(parts, desired, actions, context).catch(() => undefined);
    await undoStarts(parts, desired, actions, context);
    throw error;
  }
}

async function act(
  parts: RolloutParts,
  desired: Desired<LocalConfig>,
  action: RolloutAction,
  context: ApplyContext,
): Promise<void> {
  const { target, config } = desired;
  switch (action.kind) {
    case 'pull': {
      const { image, digest } = serviceOf(desired, action.service);
      return parts.runtime.ensureImage(image, digest, context);
    }
    case 'start':
      return startAll(parts, desired, serviceOf(desired, action.service), action.ids, context);
    case 'await-healthy':
      return awaitHealthy(parts, target, serviceOf(desired, action.service), action.ids, context);
    case 'switch':
      return moveTo(parts, target, serviceOf(desired, action.service), action.ids, context);
    case 'unroute':
      return parts.cutover.unroute({ owner: targetKey(target), port: action.port, token: context.token });
    case 'drain':
      return drain(parts, target, action.ids, config.drainMs, context);
    case 'stop':
      if (!desired.services.some(({ service }) => service === action.service)) {
        await parts.ledger.serve(target, action.service, null);
      }
      await Promise.all(action.ids.map((id) => end(parts, target, id, config.graceMs)));
      return;
    default:
      return action satisfies never;
  }
}

async function startAll(
  parts: Parts,
  { target, operation }: Desired,
  service: DesiredService,
  ids: readonly string[],
  context: ApplyContext,
): Promise<void> {
  const secrets = await secretsFor(parts, service);
  for (const [index, id] of ids.entries()) {
    context.signal.throwIfAborted();
    await parts.runtime.start({ id, index, operation, target, service, secrets }, context);
  }
  // A pause of ours may have been long enough for somebody else to take over: then these are nobody's.
  await parts.ledger.claim(target, context.token);
}

async function awaitHealthy(
  parts: RolloutParts,
  target: Target,
  service: DesiredService,
  ids: readonly string[],
  { signal }: ApplyContext,
): Promise<void> {
  const { intervalMs, startMs } = service.health ?? PLAIN_PROBE;
  const deadline = parts.clock.elapsed() + startMs;
  for (let pauseMs = FIRST_PROBES_MS; ; pauseMs = Math.min(pauseMs * 2, intervalMs)) {
    signal.throwIfAborted();
    const running = (await parts.runtime.list(target)).filter((instance) => instance.running);
    for (const instance of running) parts.looks.set(runOf(instance), looksAt(parts, instance) + 1);
    const ours = running.filter(({ id }) => ids.includes(id));
    if (ours.length < ids.length) throw ended(service);
    const states = await Promise.all(ours.map((instance) => healthOf(parts, instance)));
    const isSeen = ours.every((one) => one.address !== null || looksAt(parts, one) >= LOOKS);
    if (isSeen && states.every((state) => state === 'healthy')) return;
    if (parts.clock.elapsed() >= deadline) throw unhealthy(service, startMs);
    await wait(pauseMs, undefined, { signal });
  }
}

/** One that was started again has to be seen anew. */
function runOf({ id, startedAtMs }: Instance): string {
  return `${id} ${startedAtMs}`;
}

function looksAt({ looks }: RolloutParts, instance: Instance): number {
  return looks.get(runOf(instance)) ?? 0;
}

async function moveTo(
  parts: Parts,
  target: Target,
  service: DesiredService,
  ids: readonly string[],
  { token }: ApplyContext,
): Promise<void> {
  await parts.runtime.introduce?.(target);
  if (service.publicPort !== undefined) {
    const instances = await parts.runtime.list(target);
    const upstreams = ids.map((id) => instances.find((instance) => instance.id === id)?.address ?? null);
    if (upstreams.includes(null)) throw ended(service);
    await parts.cutover.route({
      port: service.publicPort,
      owner: targetKey(target),
      service: service.service,
      upstreams: upstreams.filter((address) => address !== null),
      token,
    });
  }
  await parts.ledger.serve(target, service.service, ids);
}

async function drain(
  parts: Parts,
  target: Target,
  ids: readonly string[],
  drainMs: number,
  { log, signal }: ApplyContext,
): Promise<void> {
  const instances = await parts.runtime.list(target);
  const addresses = ids.map((id) => instances.find((instance) => instance.id === id)?.address ?? null);
  const busy = await Promise.all(
    addresses.filter((address) => address !== null).map((address) => parts.cutover.drained(address, drainMs, signal)),
  );
  const left = busy.reduce((sum, count) => sum + count, 0);
  if (left > 0) log(`${left} requests still were under way after ${drainMs} ms; they are cut off`);
}

async function end(parts: Parts, target: Target, id: string, graceMs: number): Promise<void> {
  await parts.runtime.stop(target, id, graceMs);
  await parts.runtime.remove(target, id);
}

/** The last words of what did not become healthy: mostly they tell why. */
async function tellOutput(
  { runtime, secrets }: LocalDriverParts,
  desired: Desired,
  actions: readonly RolloutAction[],
  { log, signal }: ApplyContext,
): Promise<void> {
  if (runtime.tail === undefined || signal.aborted) return;
  for (const action of actions) {
    if (action.kind !== 'start') continue;
    const references = Object.values(serviceOf(desired, action.service).secrets);
    const values = await Promise.all(references.map((reference) => secrets.resolve(reference)));
    for (const id of action.ids) {
      const lines = await runtime.tail(desired.target, id, TAIL_LINES);
      for (const line of redact(lines.join('\n'), values).split('\n'))
        if (line !== '') log(`${action.service}: ${line}`);
    }
  }
}

/** A rollout that failed leaves nothing of its own that does not serve; what serves users is never touched. */
async function undoStarts(
  parts: Parts,
  { target, config }: Desired<LocalConfig>,
  actions: readonly RolloutAction[],
  { token, log }: ApplyContext,
): Promise<void> {
  try {
    await parts.ledger.claim(target, token); // fenced: a newer hand may be at work with these very instances
    const { services } = await observe(parts, target);
    const serving = Object.values(services).flatMap(({ replicas }) => replicas.filter((replica) => replica.serving));
    const ids = actions.flatMap((action) => (action.kind === 'start' ? action.ids : []));
    const ours = ids.filter((id) => !serving.some((replica) => replica.id === id));
    await Promise.all(ours.map((id) => end(parts, target, id, Math.min(config.graceMs, 2000))));
  } catch {
    log('what was started could not be stopped again now; the next rollout does it');
  }
}

async function destroy(parts: Parts, target: Target, context: ApplyContext): Promise<void> {
  await parts.ledger.claim(target, context.token);
  const owner = targetKey(target);
  for (const { port, service } of await parts.cutover.routes(owner)) context.log(`close port ${port} of ${service}`);
  for (const service of Object.keys(await servingOrNone(parts.ledger, target))) {
    await parts.ledger.serve(target, service, null);
  }
  await parts.cutover.forget({ owner, token: context.token });
  const instances = await parts.runtime.list(target);
  if (instances.length > 0) context.log(`stop ${instances.length} instances`);
  await Promise.all(instances.map(({ id }) => end(parts, target, id, LocalConfig.parse({}).graceMs)));
  await parts.runtime.clear(target);
  await parts.ledger.forget(target, context.token); // one of the same name that is made later counts from the start
}

/** Drivers of one machine share the stable URLs and the ledger of who serves, so what it does not name is left over. */
async function handOver(parts: Parts, target: Target, context: ApplyContext): Promise<void> {
  await parts.ledger.claim(target, context.token);
  const serving = new Set(Object.values(await parts.ledger.serving(target)).flat());
  const left = (await parts.runtime.list(target)).filter(({ id }) => !serving.has(id));
  if (left.length === 0) return;
  const { drainMs, graceMs } = LocalConfig.parse({});
  const ids = left.map(({ id }) => id);
  context.log(
    `end what the ${parts.statement.name} driver ran here before: ${left.map(({ service }) => service).join(', ')}`,
  );
  await drain(parts, target, ids, drainMs, context);
  await Promise.all(ids.map((id) => end(parts, target, id, graceMs)));
  if ((await parts.runtime.list(target)).length === 0) await parts.runtime.clear(target);
}

function ended(service: DesiredService): DeployError {
  return new DeployError({
    code: 'deploy.exited',
    what: `The new "${service.service}" ended by itself before it was healthy.`,
    fix: 'Read its log: the program stopped or could not start. What ran before still serves.',
  });
}

function unhealthy(service: DesiredService, startMs: number): DeployError {
  const question =
    service.health === undefined ? 'did not accept connections' : `did not answer ${service.health.path} well`;
  return new DeployError({
    code: 'deploy.unhealthy',
    what: `The new "${service.service}" ${question} within ${startMs} ms.`,
    fix: 'Read its log, and check its port and health path in towpath.yaml. What ran before still serves.',
  });
}
