import { setTimeout as wait } from 'node:timers/promises';

import type { DockerEngine } from '../../container/docker/engine.ts';
import type { Clock } from '../../lib/clock.ts';
import type { ApplyContext, Desired, DesiredService } from '../driver.ts';
import type { Cutover } from '../local-observer.ts';
import { targetKey } from '../rollout.ts';
import { changeAgain, createService, inspectService, removeService, updateService } from './api.ts';
import { claim } from './claim.ts';
import type { SwarmConfig } from './config.ts';
import { patienceMs } from './health.ts';
import { whileLed } from './leader.ts';
import { addressOf, isServing, look, type Look, type SeenService } from './look.ts';
import { LABEL, type Place, serviceName } from './names.ts';
import { specOf, type SpecParts } from './spec.ts';
import type { Stack } from './stack/read-stack-file.ts';
import { contended, lost, rolledBack, tooLate } from './swarm-error.ts';
import { strandedTasks, verdictOf, wordsOf } from './verdict.ts';

/** One deployment to one place. */
export interface Rollout {
  readonly engine: DockerEngine;
  readonly cutover: Cutover;
  readonly clock: Clock;
  readonly place: Place;
  /** Its services as the stack file has them, where there is one. */
  readonly desired: Desired<SwarmConfig>;
  readonly stack: Stack;
  readonly context: ApplyContext;
}

const TRIES = 20;
const LOOK_MS = 150;
/** What a node may need for fetching an image and for what Swarm does around a task. */
export const FETCH_MS = 120_000;

/**
 * Gives a service to Swarm, unless it has it from this very operation. Whoever looked at an older version is refused by Swarm, looks
 * again, and is then stopped by the claim if a newer hand was it.
 */
export async function giveService(
  { engine, place, desired, stack, context }: Rollout,
  service: DesiredService,
  { secrets, configs }: Required<Pick<SpecParts, 'secrets' | 'configs'>>,
): Promise<void> {
  const { config, operation } = desired;
  const part = stack.parts.get(service.service);
  const spec = specOf({ place, config, service, operation, token: context.token, secrets, configs, part });
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
  const limitMs = limitOf(rollout, service);
  const deadline = clock.elapsed() + limitMs;
  const freed = new Set<string>();
  for (;;) {
    context.signal.throwIfAborted();
    const now = await whileLed(() => look(engine, place), clock, context);
    const seen = now.services.find(({ name }) => name === service.service);
    await leadTo(rollout, service, seen, now);
    const verdict = verdictOf(service, desired.operation, seen, now);
    switch (verdict.kind) {
      case 'done':
        if (seen === undefined || !(await renew(rollout, seen, now))) return;
        break;
      case 'failed':
        throw rolledBack(service.service, verdict.why);
      case 'lost':
        await claim(engine, place, context.token); // a newer hand tells more than a service that is not as we left it
        throw lost(service.service);
      case 'waiting':
        if (clock.elapsed() >= deadline) throw tooLate(service.service, limitMs, wordsOf(seen?.tasks ?? [], service));
        if (seen !== undefined) await free(rollout, seen, now, freed);
        await wait(LOOK_MS, undefined, { signal: context.signal });
        break;
      default:
        return verdict satisfies never;
    }
  }
}

/** Frees an update from tasks of a node that went down, once from each. */
async function free(
  { engine, place, desired, context }: Rollout,
  seen: SeenService,
  now: Look,
  freed: Set<string>,
): Promise<void> {
  const stranded = strandedTasks(seen, desired.operation, now).filter((id) => !freed.has(id));
  if (stranded.length === 0) return;
  await claim(engine, place, context.token);
  context.log(`a node went down before the new ${seen.name} ran on it; Swarm is told to go on without it`);
  if (await changeAgain(engine, seen.of, false)) for (const id of stranded) freed.add(id);
}

/**
 * Replaces tasks that no user can reach: one that came to run while the managers had no leader may never tell the port that its node
 * chose. @returns whether there were any
 */
async function renew({ engine, place, context }: Rollout, seen: SeenService, now: Look): Promise<boolean> {
  if (seen.publish !== 'proxy') return false;
  const unreached = seen.tasks.filter((task) => isServing(task, now) && addressOf(task, now) === null);
  if (unreached.length === 0) return false;
  await claim(engine, place, context.token);
  context.log(`a replica of the new ${seen.name} does not tell where it is reached; Swarm is told to replace it`);
  await changeAgain(engine, seen.of, true);
  return true;
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

function limitOf({ desired: { config }, stack }: Rollout, service: DesiredService): number {
  const part = stack.parts.get(service.service);
  const parallelism = part?.parallelism ?? config.parallelism;
  const batches = parallelism === 0 ? 1 : Math.max(1, Math.ceil(service.replicas / parallelism));
  return FETCH_MS + batches * (patienceMs(service) + (part?.graceMs ?? config.graceMs) + (part?.pauseMs ?? 0));
}
