import { setTimeout as wait } from 'node:timers/promises';

import type { DockerEngine } from '../../container/docker/engine.ts';
import type { Clock } from '../../lib/clock.ts';
import type { ApplyContext, Desired, DesiredService } from '../driver.ts';
import type { Cutover } from '../local-observer.ts';
import { targetKey } from '../rollout.ts';
import { createService, inspectService, removeService, updateService } from './api.ts';
import { claim } from './claim.ts';
import type { SwarmConfig } from './config.ts';
import { patienceMs } from './health.ts';
import { addressOf, isServing, look, type Look, type SeenService } from './look.ts';
import { LABEL, type Place, serviceName } from './names.ts';
import { type GivenSecret, specOf } from './spec.ts';
import { contended, lost, rolledBack, tooLate } from './swarm-error.ts';
import { verdictOf, wordsOf } from './verdict.ts';

/** One deployment to one place. */
export interface Rollout {
  readonly engine: DockerEngine;
  readonly cutover: Cutover;
  readonly clock: Clock;
  readonly place: Place;
  readonly desired: Desired<SwarmConfig>;
  readonly context: ApplyContext;
}

const TRIES = 20;
const LOOK_MS = 150;
const LEADERLESS_MS = 500;
/** What a node may need for fetching an image and for what Swarm does around a task. */
export const FETCH_MS = 120_000;

/**
 * Gives a service to Swarm, unless it has it from this very operation. Whoever looked at an older version is refused by Swarm, looks
 * again, and is then stopped by the claim if a newer hand was it.
 */
export async function giveService(
  { engine, place, desired, context }: Rollout,
  service: DesiredService,
  secrets: readonly GivenSecret[],
): Promise<void> {
  const { config, operation } = desired;
  const spec = specOf({ place, config, service, operation, token: context.token, secrets });
  for (let tries = 0; tries < TRIES; tries++) {
    context.signal.throwIfAborted();
    const there = await inspectService(engine, spec.Name);
    await claim(engine, place, context.token);
    if (there?.Spec.Labels[LABEL.operation] === operation) return;
    if (await (there === null ? createService(engine, spec) : updateService(engine, there, spec))) return;
  }
  throw contended(`The service "${service.service}"`);
}

/**
 * Waits until Swarm is done with a service, and keeps its address leading to what runs meanwhile.
 * @throws DeployError `deploy.unhealthy`, `deploy.exited`, `swarm.image-unavailable`, `swarm.changed-by-others`
 */
export async function awaitService(rollout: Rollout, service: DesiredService): Promise<void> {
  const { engine, place, desired, context, clock } = rollout;
  const limitMs = FETCH_MS + batches(service, desired.config) * (patienceMs(service) + desired.config.graceMs);
  const deadline = clock.elapsed() + limitMs;
  for (;;) {
    context.signal.throwIfAborted();
    const now = await look(engine, place).catch(unlessLeaderless);
    if (now === null) {
      if (clock.elapsed() >= deadline) throw tooLate(service.service, limitMs, ['the Swarm has no leader']);
      await wait(LEADERLESS_MS, undefined, { signal: context.signal });
      continue;
    }
    const seen = now.services.find(({ name }) => name === service.service);
    await leadTo(rollout, service, seen, now);
    const verdict = verdictOf(service, desired.operation, seen, now);
    switch (verdict.kind) {
      case 'done':
        return;
      case 'failed':
        throw rolledBack(service.service, verdict.why);
      case 'lost':
        await claim(engine, place, context.token); // a newer hand tells more than a service that is not as we left it
        throw lost(service.service);
      case 'waiting':
        if (clock.elapsed() >= deadline) throw tooLate(service.service, limitMs, wordsOf(seen?.tasks ?? [], service));
        await wait(LOOK_MS, undefined, { signal: context.signal });
        break;
      default:
        return verdict satisfies never;
    }
  }
}

/** Sends users to the tasks that run, of before and of now: while some are replaced, the others answer. */
async function leadTo(
  { cutover, place, desired, context }: Rollout,
  { service, publicPort }: DesiredService,
  seen: SeenService | undefined,
  now: Look,
): Promise<void> {
  if (desired.config.publish !== 'proxy' || publicPort === undefined || seen === undefined) return;
  const upstreams = upstreamsOf(seen, now);
  if (upstreams.length === 0) return;
  const owner = targetKey(place.target);
  const route = (await cutover.routes(owner)).find((each) => each.service === service);
  if (route?.port === publicPort && JSON.stringify(route.upstreams) === JSON.stringify(upstreams)) return;
  await cutover.route({ port: publicPort, owner, service, upstreams, token: context.token });
}

/** In one order, whoever asks. */
export function upstreamsOf({ tasks }: SeenService, now: Look): { readonly host: string; readonly port: number }[] {
  return tasks
    .filter((task) => isServing(task, now))
    .map((task) => addressOf(task, now))
    .filter((address) => address !== null)
    .toSorted((one, other) => (`${one.host} ${one.port}` < `${other.host} ${other.port}` ? -1 : 1));
}

/** Closes the address that the local proxy has for a service, if it has one. */
export async function closeAddress(
  { cutover, place, context }: Pick<Rollout, 'cutover' | 'place' | 'context'>,
  service: string,
): Promise<void> {
  const owner = targetKey(place.target);
  const route = (await cutover.routes(owner)).find((each) => each.service === service);
  if (route !== undefined) await cutover.unroute({ owner, port: route.port, token: context.token });
}

/** Closes the address of a service and takes it out of the Swarm. Twice is as good as once. */
export async function takeOut({ engine, cutover, place, context }: Rollout, service: string): Promise<void> {
  await closeAddress({ cutover, place, context }, service);
  await removeService(engine, serviceName(place, service));
}

/** Managers that lost their leader choose another within seconds; until then they answer nothing. */
export function unlessLeaderless(error: unknown): null {
  if (/does not have a leader|no elected leader|deadline exceeded|Unavailable/i.test(String(error))) return null;
  throw error;
}

function batches({ replicas }: DesiredService, { parallelism }: SwarmConfig): number {
  return parallelism === 0 ? 1 : Math.max(1, Math.ceil(replicas / parallelism));
}
