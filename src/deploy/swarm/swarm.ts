import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { DockerEngine } from '../../container/docker/engine.ts';
import type { Clock } from '../../lib/clock.ts';
import { hasCode, problemOf } from '../../lib/error.ts';
import type { Secrets } from '../../secret/secret.ts';
import type { ComposeProgram } from '../compose/program.ts';
import type { ApplyContext, Desired, DeployDriver, Target } from '../driver.ts';
import type { Ledger } from '../ledger-store.ts';
import { serviceOf } from '../local-jobs.ts';
import type { Cutover } from '../local-observer.ts';
import { targetKey } from '../rollout.ts';
import { listNodes, listServices, membership, removeService } from './api.ts';
import { claim, forget } from './claim.ts';
import { type SwarmConfig, swarmStatement } from './config.ts';
import { CONFIGS, SECRETS, sweepContents } from './contents.ts';
import { removeJobs, swarmJobs } from './jobs.ts';
import { leadAgain } from './lead-again.ts';
import { ledNow, whileLed } from './leader.ts';
import { look, untilGone } from './look.ts';
import { LABEL, type Place, placeFilter, placeName, serviceName } from './names.ts';
import { ensureNetworks, removeNetworks } from './network.ts';
import { observeSwarm } from './observe.ts';
import { planSwarm, type SwarmAction } from './plan.ts';
import { putBack, tellOutput } from './put-back.ts';
import { checkRoom } from './room.ts';
import { awaitService, closeAddress, giveService, type Rollout, takeOut } from './rollout.ts';
import { ensureSecrets, valuesOf } from './secrets.ts';
import { ensureConfigs } from './stack/configs.ts';
import { readStackFile } from './stack/read-stack-file.ts';
import { noLeader, notManager, tooOld } from './swarm-error.ts';

export interface SwarmDriverParts {
  /** A manager of the Swarm. */
  readonly engine: () => Promise<DockerEngine>;
  /** Tells apart the installations that share a Swarm. */
  readonly installation: string;
  readonly cutover: Cutover;
  /** Of the drivers of this machine: told that what they ran does not serve any more. */
  readonly ledger: Ledger;
  readonly secrets: Secrets;
  readonly clock: Clock;
  /** Reads stack files. */
  readonly compose: ComposeProgram;
  /** A file that is there once this machine deployed to a Swarm: others need not ask an engine. */
  readonly mark: string;
}

/** A manager without a leader gives up by itself after 20 s, twice where it is asked what it is. One that says nothing for longer is gone. */
export const MANAGER_SILENCE_MS = 60_000;
/** 1.41 (Docker 20.10): from it on services take capabilities and limits of processes. */
const OLDEST_API = 41;

export interface SwarmDriver extends DeployDriver<SwarmConfig, SwarmAction> {
  /** Leads the addresses of this machine to where Swarm runs the tasks now; does nothing before the first deployment by it. */
  leadAgain(): Promise<void>;
}

/** Runs each service of a release as one service of a Docker Swarm, which replaces its replicas and puts them back by itself. */
export function createSwarmDriver(parts: SwarmDriverParts): SwarmDriver {
  const placeOf = (target: Target): Place => ({ target, installation: parts.installation });
  return {
    ...swarmStatement,
    plan: planSwarm,
    apply: (desired, actions, context) => apply(parts, placeOf(desired.target), desired, actions, context),
    observe: async (target) =>
      ledNow(observeSwarm({ engine: await manager(parts), cutover: parts.cutover }, placeOf(target))),
    destroy: (target, context) => whileLed(() => destroy(parts, placeOf(target), context), parts.clock, context),
    handOver: (target, context) => handOver(parts, placeOf(target), context),
    jobs: swarmJobs({ ...parts, placeOf, manager: () => manager(parts) }),
    leadAgain: async () => {
      if (!existsSync(parts.mark)) return;
      try {
        await ledNow(leadAgain(await manager(parts), parts.cutover, parts.installation));
      } catch (error) {
        // while no manager answers addresses stay as they are; deployments tell of it
        if (!hasCode(error, 'docker.unreachable', 'swarm.not-manager', 'swarm.no-leader')) throw error;
      }
    },
  };
}

async function apply(
  parts: SwarmDriverParts,
  place: Place,
  asked: Desired<SwarmConfig>,
  actions: readonly SwarmAction[],
  context: ApplyContext,
): Promise<void> {
  if (actions.length === 0) return;
  const { cutover, clock } = parts;
  const stack = await readStackFile(parts.compose, asked, placeName(place), context);
  const desired = { ...asked, services: stack.services };
  const rollout: Rollout = { engine: await manager(parts), cutover, clock, place, desired, stack, context };
  await mkdir(dirname(parts.mark), { recursive: true });
  await writeFile(parts.mark, '');
  try {
    await whileLed(() => claim(rollout.engine, place, context.token), clock, context);
    await whileLed(() => removeJobs(rollout.engine, place, context.signal), clock, context);
    for (const action of actions) {
      context.signal.throwIfAborted();
      await whileLed(() => claim(rollout.engine, place, context.token), clock, context);
      context.log(action.summary);
      await whileLed(() => act(parts, rollout, action), clock, context);
    }
  } catch (error) {
    if (hasCode(error, 'swarm.no-leader')) throw error; // nothing can be put back; the next try goes on from here
    const tell = async (): Promise<void> => tellOutput(rollout, await valuesOf(desired.services, parts.secrets));
    await tell().catch(() => undefined);
    if (!(await putBack(rollout))) context.log('what was before could not be put back now; the next rollout does it');
    throw error;
  }
}

async function act(parts: SwarmDriverParts, rollout: Rollout, action: SwarmAction): Promise<void> {
  const { engine, place, desired, stack, context } = rollout;
  switch (action.kind) {
    case 'check': {
      const [nodes, services] = await Promise.all([listNodes(engine), listServices(engine, [])]);
      const own = new Set(desired.services.map(({ service }) => serviceName(place, service)));
      return checkRoom(desired.services, desired.config, { nodes, services, own });
    }
    case 'network':
      return ensureNetworks(engine, place, stack.networks);
    case 'secrets':
      await ensureSecrets(engine, place, desired.services, parts.secrets);
      await ensureConfigs(engine, place, stack.configs);
      return;
    case 'update': {
      const given = await ensureSecrets(engine, place, desired.services, parts.secrets);
      const service = serviceOf(desired, action.service);
      const isProxied = desired.config.publish === 'proxy' && service.publicPort !== undefined;
      if (!isProxied) await closeAddress(rollout, service.service); // it may have been, until now
      const configs = await ensureConfigs(engine, place, stack.configs);
      return giveService(rollout, service, { secrets: given.get(action.service) ?? [], configs });
    }
    case 'await-healthy':
      return awaitService(rollout, serviceOf(desired, action.service));
    case 'remove':
      await takeOut(rollout, action.service);
      return untilGone(engine, placeFilter(place), context.signal, ({ Spec }) => {
        return Spec.ContainerSpec.Labels[LABEL.service] === action.service;
      });
    case 'tidy': {
      await sweepContents(engine, place, SECRETS);
      await sweepContents(engine, place, CONFIGS);
      await removeNetworks(engine, place, context.signal, stack.networks.keys()).catch((error: unknown) => {
        context.signal.throwIfAborted(); // all is well besides: that the last one is still being left is no failure
        context.log(`a network is left over, which the next rollout removes: ${problemOf(error).what}`);
      });
      // an environment that was run by a driver of this machine before: nothing of that serves any more
      for (const service of Object.keys(await parts.ledger.serving(desired.target))) {
        await parts.ledger.serve(desired.target, service, null);
      }
      return;
    }
    default:
      return action satisfies never;
  }
}

async function destroy(parts: SwarmDriverParts, place: Place, context: ApplyContext): Promise<void> {
  const engine = await manager(parts);
  await claim(engine, place, context.token);
  const owner = targetKey(place.target);
  for (const { port, service } of await parts.cutover.routes(owner)) context.log(`close port ${port} of ${service}`);
  await parts.cutover.forget({ owner, token: context.token });
  await removeAll(engine, place, context);
}

async function handOver(parts: SwarmDriverParts, place: Place, context: ApplyContext): Promise<void> {
  const engine = await parts.engine();
  if (!(await membership(engine)).isManager) return;
  const { services } = await look(engine, place);
  if (services.length === 0) return;
  await claim(engine, place, context.token);
  context.log(`end what the swarm driver ran here before: ${services.map(({ name }) => name).join(', ')}`);
  await removeAll(engine, place, context);
}

/** Services first, then what they used; last who may write here. */
async function removeAll(engine: DockerEngine, place: Place, { token, signal, log }: ApplyContext): Promise<void> {
  const services = await listServices(engine, placeFilter(place));
  if (services.length > 0) log(`remove ${services.length} services from the Swarm`);
  for (const { ID } of services) await removeService(engine, ID);
  await removeJobs(engine, place, signal);
  await untilGone(engine, placeFilter(place), signal);
  await sweepContents(engine, place, SECRETS);
  await sweepContents(engine, place, CONFIGS);
  await removeNetworks(engine, place, signal);
  await forget(engine, place, token);
}

async function manager(parts: SwarmDriverParts): Promise<DockerEngine> {
  const engine = await parts.engine();
  if (Number(engine.apiVersion.split('.')[1] ?? 0) < OLDEST_API) throw tooOld(engine.apiVersion);
  const { isManager, state } = await membership(engine);
  if (!isManager) throw state === 'pending' ? noLeader() : notManager(state);
  return engine;
}
