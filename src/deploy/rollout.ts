import type { Digest } from '../lib/digest.ts';
import type { LogLine } from '../lib/log.ts';
import { sha256Hex } from '../lib/digest.ts';
import { slugOf } from '../lib/slug.ts';
import type { Action, Desired, DesiredService, HealthProbe, JobEnd, Observed, Replica, Target } from './driver.ts';

/**
 * What a local driver must be able to do on its machine; everything else (order, health, the switch, draining,
 * fencing, repeating) is shared. Every method may be called twice: the second call finds the work done.
 */
export interface Runtime {
  /** Makes the image startable here: pulls it by digest, or unpacks it. */
  ensureImage(image: string, digest: Digest, context: RuntimeContext): Promise<void>;
  /** Starts the instance; one that runs under this id already stays as it is, a dead one of this id is replaced. */
  start(instance: InstanceSpec, context: RuntimeContext): Promise<void>;
  /** Everything of ours for the target, running or not, as the machine shows it. */
  list(target: Target): Promise<readonly Instance[]>;
  /** Done a moment before requests are led to new instances, which are well by then: who else of the target has to know of them. */
  introduce?(target: Target): Promise<void>;
  /** Ends it: asks, waits `graceMs`, then forces. Resolves when it is gone; an unknown id is gone already. */
  stop(target: Target, id: string, graceMs: number): Promise<void>;
  /** Forgets a stopped instance with all that was made for it (its secrets first). */
  remove(target: Target, id: string): Promise<void>;
  /** The last lines that an instance wrote, for a rollout that failed; the shared code blackens secrets in them. */
  tail?(target: Target, id: string, lines: number): Promise<readonly string[]>;
  /** What an instance prints, as it is kept. Ends at the end of what is there, or, followed, when nothing more can come. */
  output(target: Target, id: string, wish: OutputWish): AsyncIterable<OutputBlock>;
  readonly jobs?: RuntimeJobs;
  /** Removes what belongs to the target as a whole (network, folders) once no instance is left. */
  clear(target: Target): Promise<void>;
}

/** Instances that run to their end. They are no replicas, and `list` does not show them. */
export interface RuntimeJobs {
  run(
    instance: InstanceSpec,
    wish: { readonly timeoutMs: number; readonly begun: boolean; readonly begin: () => Promise<void> },
    context: RuntimeContext,
  ): Promise<JobEnd>;
  forget(target: Target, id: string): Promise<void>;
}

export interface OutputWish {
  /** The last lines, or what comes after a place; an empty place is the beginning. */
  readonly from: { readonly last: number } | { readonly after: string };
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** At most some 64 KiB, so that whoever reads slowly fills nobody's memory. */
export interface OutputBlock {
  readonly lines: readonly string[];
  readonly place: string;
  /** The values that it was given, for the shared code to blacken. */
  readonly secrets: readonly string[];
  /** True when the only line goes on, and the rest of it is left out. */
  readonly isCut?: boolean;
  /** True when something before these lines is not kept any more. */
  readonly hasGap?: boolean;
}

export interface RuntimeContext {
  readonly log: LogLine;
  readonly signal: AbortSignal;
}

export interface InstanceSpec {
  readonly id: string;
  readonly index: number;
  readonly operation: string;
  readonly target: Target;
  readonly service: DesiredService;
  /** The values, resolved a moment ago: to be given as files only, and to be kept nowhere else. */
  readonly secrets: ReadonlyMap<string, string>;
}

export interface Instance {
  readonly id: string;
  readonly service: string;
  readonly operation: string;
  /** As seen on what runs: a record of what was asked for is not enough where the machine can tell. */
  readonly digest: Digest;
  readonly running: boolean;
  readonly startedAtMs: number;
  /** Where its port is reached from this machine; null for a worker, and for one that is not running. */
  readonly address: Address | null;
  /** As given at its start. */
  readonly health: HealthProbe | null;
  readonly publicPort: number | null;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The steps of a blue/green rollout. Plain data: `ids` are instance ids. */
export type RolloutAction = Action & { readonly service: string } & (
    | { readonly kind: 'pull' }
    | { readonly kind: 'start' | 'await-healthy' | 'switch' | 'drain' | 'stop'; readonly ids: readonly string[] }
    | { readonly kind: 'unroute'; readonly port: number }
  );

/**
 * New ones start beside the old ones, of all services; only when all are healthy, traffic moves; then the old ones
 * drain and stop. So a failure before the first switch leaves users where they were. Another operation always starts
 * anew, also with equal images: that is how a changed secret or setting arrives.
 */
export function planRollout(desired: Desired, observed: Observed, how = 'run'): RolloutAction[] {
  const known = new Map(desired.services.map((service) => [service.service, service]));
  const open = desired.services.filter((service) => !isDone(desired, service, observed));
  const gone = Object.keys(observed.services).filter((service) => !known.has(service));
  // a driver may not know any more which service one belongs to that this very operation starts
  const wanted = new Set(desired.services.flatMap((service) => idsOf(desired, service)));
  return [
    ...open.flatMap((service) => planStart(desired, service, how)),
    ...open.map((service) => planHealth(desired, service)),
    ...open.map((service) => planSwitch(desired, service)),
    ...desired.services
      .filter(({ publicPort }) => publicPort === undefined) // a port that changed is replaced by the switch itself
      .flatMap(({ service }) => planUnroute(service, observed)),
    ...gone.flatMap((service) => planUnroute(service, observed)),
    ...desired.services.flatMap((service) => planEnd(service.service, observed, new Set(idsOf(desired, service)))),
    ...gone.flatMap((service) => planEnd(service, observed, wanted)),
  ];
}

/** `towpath-<environment>-<service>-<operation>-<n>`: the same for the same operation, whatever the names hold. */
export function instanceId(target: Target, service: string, operation: string, index: number): string {
  return `towpath-${targetKey(target)}-${slugOf(service, 24)}-${sha256Hex(operation).slice(0, 10)}-${index}`;
}

/** One safe name for a target: two targets never share it, though their slugs may be equal in two projects. */
export function targetKey(target: Target): string {
  return slugOf(JSON.stringify([target.project, target.environment, target.slug]));
}

function idsOf(desired: Desired, service: DesiredService): string[] {
  return Array.from({ length: service.replicas }, (_, index) =>
    instanceId(desired.target, service.service, desired.operation, index),
  );
}

function isDone(desired: Desired, service: DesiredService, observed: Observed): boolean {
  const seen = observed.services[service.service];
  const url = service.publicPort === undefined ? undefined : portOf(seen?.url);
  return (
    url === service.publicPort &&
    idsOf(desired, service).every((id) => seen?.replicas.some((replica) => replica.id === id && isUp(replica, service)))
  );
}

function isUp(replica: Replica, service: DesiredService): boolean {
  return replica.health === 'healthy' && replica.serving && replica.digest === service.digest;
}

function planStart(desired: Desired, service: DesiredService, how: string): RolloutAction[] {
  const name = `${service.service}@${service.digest.slice(0, 'sha256:'.length + 12)}`;
  return [
    { kind: 'pull', service: service.service, summary: `fetch ${name}` },
    {
      kind: 'start',
      service: service.service,
      ids: idsOf(desired, service),
      summary: `${how} ${service.replicas === 1 ? '' : `${service.replicas} of `}${name} beside what runs now`,
    },
  ];
}

function planHealth(desired: Desired, service: DesiredService): RolloutAction {
  const proof =
    service.health === undefined
      ? service.port === undefined
        ? 'stays up'
        : 'accepts connections'
      : `answers ${service.health.path}`;
  return {
    kind: 'await-healthy',
    service: service.service,
    ids: idsOf(desired, service),
    summary: `wait until ${service.service} ${proof}`,
  };
}

function planSwitch(desired: Desired, service: DesiredService): RolloutAction {
  const where = service.publicPort === undefined ? '' : ` on port ${service.publicPort}`;
  return {
    kind: 'switch',
    service: service.service,
    ids: idsOf(desired, service),
    summary: `make the new ${service.service} the one that serves${where}`,
  };
}

function planUnroute(service: string, observed: Observed): RolloutAction[] {
  const port = portOf(observed.services[service]?.url);
  return port === undefined ? [] : [{ kind: 'unroute', service, port, summary: `close port ${port} of ${service}` }];
}

function planEnd(service: string, observed: Observed, keep: ReadonlySet<string>): RolloutAction[] {
  const ids = (observed.services[service]?.replicas ?? []).map(({ id }) => id).filter((id) => !keep.has(id));
  return ids.length === 0
    ? []
    : [
        { kind: 'drain', service, ids, summary: `let requests to the old ${service} end` },
        { kind: 'stop', service, ids, summary: `stop the old ${service} (${ids.length})` },
      ];
}

function portOf(url: string | undefined): number | undefined {
  return url === undefined ? undefined : Number(new URL(url).port);
}
