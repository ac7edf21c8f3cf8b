import { createServer, type AddressInfo } from 'node:net';

import type { Digest } from '../../lib/digest.ts';
import type {
  Action,
  ApplyContext,
  Desired,
  DeployDriver,
  DesiredService,
  Job,
  JobEnd,
  Jobs,
  Observed,
  OutputPart,
  OutputQuestion,
  SourceFiles,
  Target,
} from '../driver.ts';
import type { Behaviour } from './program.ts';

/** The value of the secret `env:CANARY_OF_THE_TEST`, looked for wherever it must not be. */
export const CANARY = 'canary-3f9a1c7e-never-to-be-seen';

/** A driver on its machine, with what the kit needs to try it. Its secrets must resolve `env:CANARY_OF_THE_TEST` to `CANARY`. */
export interface DriverUnderTest {
  /** The driver made anew over what is there, as a server does after it was killed. */
  restart(): DeployDriver;
  /** The settings of a target, for a driver that has no defaults for all. */
  settingsOf?(target: Target): Promise<unknown>;
  /** The repository at a commit with these services, for a driver that reads there what is to run. */
  sourceOf?(services: readonly DesiredService[]): SourceFiles;
  /** The image of the test program with this behaviour; equal arguments, equal digest. */
  image(version: string, behaviour: Behaviour): Promise<{ readonly image: string; readonly digest: Digest }>;
  /**
   * What people do there by hand, beside the driver: what runs of a service (or what is written of it) is gone then, or another. It
   * has what the last deployment brought.
   */
  harm(target: Target, service: string): Promise<void>;
  /** Where a text shows in what lies open on the machine: arguments, environments, files, labels, logs of the driver. */
  traces(text: string): Promise<readonly string[]>;
  dispose(): Promise<void>;
}

export interface ServiceOptions {
  readonly behaviour?: Behaviour;
  readonly startMs?: number;
  readonly replicas?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly limits?: DesiredService['limits'];
}

export type Rollouts = ReturnType<typeof rolloutsOf>;

let targets = 0;

/** One target of its own for a test, with short words for what a test does to it. Tokens rise by themselves. */
export function rolloutsOf(under: DriverUnderTest) {
  targets += 1;
  const target: Target = { project: 'shop', environment: `prod-${targets}`, slug: 'prod' };
  const lines: string[] = [];
  const touched = new Map<string, Target>();
  let lastToken = 0n;
  let port: Promise<number> | undefined;
  const contextOf = (signal?: AbortSignal): ApplyContext => ({
    log: (line) => lines.push(line),
    signal: signal ?? new AbortController().signal,
    token: ++lastToken,
  });
  const desiredOf = async (
    operation: string,
    services: readonly DesiredService[],
    of: Target = target,
  ): Promise<Desired> => {
    touched.set(JSON.stringify(of), of);
    const config = (await under.settingsOf?.(of)) ?? under.restart().config.parse({});
    const source = under.sourceOf?.(services);
    return { target: of, config, services, operation, ...(source === undefined ? {} : { source }) };
  };
  const observe = (of: Target = target): Promise<Observed> => under.restart().observe(of);
  const planned = async (desired: Desired): Promise<readonly Action[]> =>
    under.restart().plan(desired, await observe(desired.target));
  const roll = async (desired: Desired, context: ApplyContext): Promise<Observed> => {
    await under.restart().apply(desired, await planned(desired), context);
    return observe(desired.target);
  };
  const serviceOf = async (name: string, version: string, options: ServiceOptions): Promise<DesiredService> => ({
    service: name,
    ...(await under.image(version, options.behaviour ?? (name === 'worker' ? 'idle' : 'well'))),
    env: options.env ?? {},
    secrets: options.secrets ?? {},
    replicas: options.replicas ?? 1,
    limits: options.limits ?? {},
  });
  const outputOf = (question: Partial<OutputQuestion> & Pick<OutputQuestion, 'service' | 'tail' | 'follow'>) => {
    const whole = { after: new Map<string, string>(), signal: new AbortController().signal, ...question };
    const parts = under.restart().output?.(target, whole);
    if (parts === undefined) throw new Error('This driver gives no output.');
    return parts;
  };
  return {
    target,
    observe,
    logged: () => lines.join('\n'),
    web: async (version: string, options: ServiceOptions = {}): Promise<DesiredService> => ({
      ...(await serviceOf('web', version, options)),
      port: 3000,
      publicPort: await (port ??= freePort()),
      health: { path: '/healthz', intervalMs: 100, timeoutMs: 30_000, startMs: options.startMs ?? 30_000 },
    }),
    worker: (version: string, options: ServiceOptions = {}) => serviceOf('worker', version, options),
    deploy: async (operation: string, services: readonly DesiredService[]) =>
      roll(await desiredOf(operation, services), contextOf()),
    deployTo: async (of: Target, operation: string, services: readonly DesiredService[]) =>
      roll(await desiredOf(operation, services, of), contextOf()),
    deployWith: async ({ token }: { token: bigint }, operation: string, services: readonly DesiredService[]) =>
      roll(await desiredOf(operation, services), { ...contextOf(), token }),
    again: async (operation: string, services: readonly DesiredService[]) => {
      const desired = await desiredOf(operation, services);
      const actions = await planned(desired);
      return { actions, observed: await roll(desired, contextOf()) };
    },
    stepsOf: async (operation: string, services: readonly DesiredService[]) =>
      planned(await desiredOf(operation, services)),
    /** Does the first steps and then no more, as a server does that is killed. */
    deployPart: async (operation: string, services: readonly DesiredService[], steps: number): Promise<void> => {
      const desired = await desiredOf(operation, services);
      await under.restart().apply(desired, (await planned(desired)).slice(0, steps), contextOf());
    },
    /** Rolls out until a step of this kind begins, does something while it lasts, then aborts, as a rollback does. */
    deployUntil: async (
      operation: string,
      services: readonly DesiredService[],
      kind: string,
      meanwhile?: () => Promise<void>,
    ): Promise<void> => {
      const desired = await desiredOf(operation, services);
      const actions = await planned(desired);
      const stop = new AbortController();
      const summary = actions.find((action) => action.kind === kind)?.summary;
      let done: Promise<void> | undefined;
      const context = contextOf(stop.signal);
      const log = (line: string): void => {
        context.log(line);
        if (line !== summary) return;
        done = meanwhile?.();
        if (done === undefined) stop.abort();
        else void done.catch(() => undefined).then(() => stop.abort());
      };
      await under
        .restart()
        .apply(desired, actions, { ...context, log })
        .then(
          () => Promise.reject(new Error('it was not stopped')),
          (error: unknown) => {
            if (!stop.signal.aborted) throw error;
          },
        );
      await done;
    },
    /** Runs a job of `web`. @returns how it ended, and how often it was begun */
    job: async (
      operation: string,
      services: readonly DesiredService[],
      { token, ...job }: Pick<Job, 'argv'> & Partial<Job> & { readonly token?: bigint },
      signal?: AbortSignal,
    ): Promise<{ end: JobEnd; begun: number }> => {
      let begun = 0;
      const begin = async (): Promise<void> => void (begun += 1);
      const wish = { service: 'web', timeoutMs: 60_000, begun: false, begin, ...job };
      const context = { ...contextOf(signal), ...(token === undefined ? {} : { token }) };
      const end = await jobsOf(under).run(await desiredOf(operation, services), wish, context);
      return { end, begun };
    },
    forgetJob: async (operation: string, services: readonly DesiredService[]) =>
      jobsOf(under).forget(await desiredOf(operation, services), 'web'),
    destroy: () => under.restart().destroy(target, contextOf()),
    destroyOf: (of: Target) => under.restart().destroy(of, contextOf()),
    text: async (path: string): Promise<string> => {
      const answer = await fetch(`http://127.0.0.1:${await port}${path}`, { headers: { connection: 'close' } });
      return answer.text();
    },
    /** What a service has printed by now, one line of each replica after the other. */
    printed: async (service: string, tail = 1000): Promise<string[]> => {
      const lines: string[] = [];
      for await (const part of outputOf({ service, tail, follow: false })) lines.push(...part.lines);
      return lines;
    },
    /** Follows what a service prints, until the signal. */
    follow: (service: string, signal: AbortSignal, after?: ReadonlyMap<string, string>): AsyncIterable<OutputPart> =>
      outputOf({ service, tail: 1000, follow: true, signal, ...(after === undefined ? {} : { after }) }),
    url: async () => `http://127.0.0.1:${await port}`,
    end: async (): Promise<void> => {
      for (const of of touched.values()) await under.restart().destroy(of, contextOf());
    },
  };
}

function jobsOf(under: DriverUnderTest): Jobs {
  const { jobs } = under.restart();
  if (jobs === undefined) throw new Error('This driver runs no jobs.');
  return jobs;
}

/**
 * Test files run at the same time: each worker draws from a range of its own, above those of the servers of stories and below
 * that of outgoing connections.
 */
const PORTS = 1500;
const firstPort = 14_000 + (Number(process.env['VITEST_POOL_ID'] ?? 0) % 4) * PORTS;

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = firstPort + Math.floor(Math.random() * PORTS);
    const server = createServer();
    const free = await new Promise<AddressInfo | null>((resolve) => {
      server.once('error', () => resolve(null));
      server.listen(port, '127.0.0.1', () => resolve(server.address() as AddressInfo));
    });
    if (free === null) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
