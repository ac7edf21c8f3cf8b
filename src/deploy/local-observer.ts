import type { Started } from './age.ts';
import type { HealthProbe, Observed, Replica, Target } from './driver.ts';
import { type Ledger, servingOrNone } from './ledger-store.ts';
import { type Address, type Instance, type Runtime, targetKey } from './rollout.ts';

/** Moves the requests of users from one set of instances to another; the local proxy does it. */
export interface Cutover {
  /** From the return on, new requests go to `upstreams` and to no other. */
  route(route: {
    readonly port: number;
    readonly owner: string;
    readonly service: string;
    readonly upstreams: readonly Address[];
    readonly token: bigint;
  }): Promise<void>;
  unroute(route: { readonly owner: string; readonly port: number; readonly token: bigint }): Promise<void>;
  /** Closes all addresses of an owner and forgets its tokens: it is gone. */
  forget(wish: { readonly owner: string; readonly token: bigint }): Promise<void>;
  routes(
    owner: string,
  ): Promise<readonly { readonly port: number; readonly service: string; readonly upstreams: readonly Address[] }[]>;
  /** Waits until nothing is under way to an upstream. @returns how many requests are, when the time is over */
  drained(upstream: Address, timeoutMs: number, signal: AbortSignal): Promise<number>;
}

/** Asks an instance how it is: by HTTP (any 2xx or 3xx answers well), or, without a path, whether it accepts connections. */
export type Probe = (address: Address, path: string | null, timeoutMs: number) => Promise<boolean>;

/** What it takes to see what runs. */
export interface ObserverParts {
  readonly runtime: Runtime;
  readonly cutover: Cutover;
  readonly ledger: Ledger;
  readonly probe: Probe;
  /** For how long an instance has run, by a clock that nobody sets. */
  readonly ageOf: (started: Started) => number;
}

/** For services that give no probe: a port that accepts connections, or, for a worker, staying up this long. */
export const PLAIN_PROBE: HealthProbe = { path: '/', intervalMs: 250, timeoutMs: 2000, startMs: 30_000 };
const STAYS_UP_MS = 1000;

/** What runs for a target, as the machine, the proxy and the programs themselves show it. */
export async function observe(parts: ObserverParts, target: Target): Promise<Observed> {
  const [instances, routes, meant] = await Promise.all([
    parts.runtime.list(target),
    parts.cutover.routes(targetKey(target)),
    servingOrNone(parts.ledger, target),
  ]);
  const names = new Set([...instances.map(({ service }) => service), ...routes.map(({ service }) => service)]);
  const services = [...names].sort().map(async (name) => {
    const route = routes.find(({ service }) => service === name);
    const mine = instances.filter(({ service }) => service === name).sort((a, b) => (a.id < b.id ? -1 : 1));
    const replicas = mine.map(async (instance): Promise<Replica> => {
      const { id, digest, operation, address, publicPort } = instance;
      const serving =
        publicPort === null
          ? instance.running && (meant[name]?.includes(id) ?? false)
          : (route?.upstreams.some(({ host, port }) => host === address?.host && port === address.port) ?? false);
      return { id, digest, operation, serving, health: await healthOf(parts, instance) };
    });
    return [
      name,
      {
        replicas: await Promise.all(replicas),
        ...(route === undefined ? {} : { url: `http://127.0.0.1:${route.port}` }),
      },
    ] as const;
  });
  return { services: Object.fromEntries(await Promise.all(services)) };
}

export async function healthOf(parts: ObserverParts, instance: Instance): Promise<Replica['health']> {
  if (!instance.running) return 'stopped';
  const { timeoutMs, startMs } = instance.health ?? PLAIN_PROBE;
  const ageMs = parts.ageOf(instance);
  const well =
    instance.address === null
      ? ageMs >= STAYS_UP_MS
      : await parts.probe(instance.address, instance.health?.path ?? null, timeoutMs);
  return well ? 'healthy' : ageMs < startMs ? 'starting' : 'unhealthy';
}
