import { setTimeout as wait } from 'node:timers/promises';

import { inspectContainer } from '../../container/docker/containers.ts';
import type { DockerEngine } from '../../container/docker/engine.ts';
import { linesIn, secondsOf } from '../../container/docker/output.ts';
import type { Clock } from '../../lib/clock.ts';
import { hasCode } from '../../lib/error.ts';
import { redact } from '../../secret/redact.ts';
import type { Secrets } from '../../secret/secret.ts';
import type { ComposeProgram } from '../compose/program.ts';
import type { ApplyContext, Desired, DesiredService, Job, JobEnd, Jobs, Target } from '../driver.ts';
import { serviceOf } from '../local-jobs.ts';
import {
  createService,
  inspectService,
  listNodes,
  listServices,
  listTasks,
  membership,
  removeService,
  type SwarmTask,
  taskLog,
} from './api.ts';
import { claim } from './claim.ts';
import type { SwarmConfig } from './config.ts';
import { jobState, type JobState } from './job-end.ts';
import { unlessLeaderless } from './leader.ts';
import { untilGone } from './look.ts';
import { jobFilter, jobName, type Place, placeName } from './names.ts';
import { ensureNetworks } from './network.ts';
import { checkRoom } from './room.ts';
import { FETCH_MS } from './rollout.ts';
import { ensureSecrets, valuesOf } from './secrets.ts';
import { jobSpecOf } from './spec.ts';
import { ensureConfigs } from './stack/configs.ts';
import { readStackFile } from './stack/read-stack-file.ts';
import { jobPending, jobUnborn } from './swarm-error.ts';

interface SwarmJobsParts {
  readonly manager: () => Promise<DockerEngine>;
  readonly placeOf: (target: Target) => Place;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly compose: ComposeProgram;
}

const LOOK_MS = 200;

/** A job at one place, while it is seen to. */
interface Work {
  readonly engine: DockerEngine;
  readonly clock: Clock;
  readonly place: Place;
  readonly name: string;
  readonly job: Job;
  readonly context: ApplyContext;
}

/**
 * Jobs as services of the Swarm with one task, which go on while the server is away: whoever comes back, and asks whichever manager,
 * finds them at work or ended, by their name. One stays until it is forgotten.
 */
export function swarmJobs(parts: SwarmJobsParts): Jobs<SwarmConfig> {
  return {
    async run(desired, job, context) {
      const engine = await parts.manager();
      const place = parts.placeOf(desired.target);
      const name = jobName(place, job.service, desired.operation);
      const isThere = (await inspectService(engine, name)) !== null;
      if (!isThere && job.begun) return { kind: 'lost' };
      const values = (await valuesOf([serviceOf(desired, job.service)], parts.secrets)).get(job.service);
      const log = (line: string): void => context.log(redact(line, values?.values() ?? []));
      const work = { engine, clock: parts.clock, place, name, job, context: { ...context, log } };
      if (isThere) log('It was begun before this server was; what it printed:');
      else await begin(parts, work, desired);
      return follow(work);
    },
    async forget(desired, service) {
      const name = jobName(parts.placeOf(desired.target), service, desired.operation);
      await removeService(await parts.manager(), name);
    },
  };
}

/**
 * Ends what is left of jobs of a place, and waits until no program of them runs. They are of promotions that ended: one at a time
 * works there, and forgets its own before it goes on.
 */
export async function removeJobs(engine: DockerEngine, place: Place, signal: AbortSignal): Promise<void> {
  const services = await listServices(engine, jobFilter(place));
  for (const { ID } of services) await removeService(engine, ID);
  if (services.length > 0) await untilGone(engine, jobFilter(place), signal);
}

async function begin(
  { secrets, compose }: SwarmJobsParts,
  { engine, place, name, job, context }: Work,
  desired: Desired<SwarmConfig>,
): Promise<void> {
  const { config, operation } = desired;
  const stack = await readStackFile(compose, desired, placeName(place), context);
  const service = { ...portless(serviceOf({ ...desired, services: stack.services }, job.service)), command: job.argv };
  await claim(engine, place, context.token);
  checkRoom([service], config, { nodes: await listNodes(engine), services: [], own: new Set() });
  await ensureNetworks(engine, place, stack.networks);
  const given = await ensureSecrets(engine, place, [service], secrets);
  const configs = await ensureConfigs(engine, place, stack.configs);
  await removeJobs(engine, place, context.signal);
  await claim(engine, place, context.token);
  await job.begin();
  const part = stack.parts.get(job.service);
  const parts = { place, config, service, operation, secrets: given.get(job.service) ?? [], configs, part };
  await createService(engine, jobSpecOf(name, parts));
}

/** The health of a service and the port that it listens on do not concern its jobs. */
function portless({
  port: _port,
  publicPort: _publicPort,
  health: _health,
  ...service
}: DesiredService): DesiredService {
  return { ...service, replicas: 1 };
}

/** @throws DeployError `swarm.job-not-begun` */
async function follow(work: Work): Promise<JobEnd> {
  const { context, clock, job } = work;
  let after = '';
  let deadline = clock.elapsed() + FETCH_MS;
  let hasBegun = false;
  try {
    for (;;) {
      context.signal.throwIfAborted();
      const seen = await lookAt(work).catch(unlessLeaderless);
      if (seen?.task !== undefined && seen.state.kind !== 'waiting') {
        after = await tell(work, seen.task, after, seen.state.kind !== 'running');
      }
      switch (seen?.state.kind) {
        case 'ended':
          return seen.state.end;
        case 'unborn':
          throw jobUnborn(job.service, seen.state.why);
        case 'running':
          if (!hasBegun) deadline = clock.elapsed() + job.timeoutMs;
          hasBegun = true;
          break;
        default:
      }
      if (clock.elapsed() >= deadline) {
        await end(work);
        if (hasBegun) return { kind: 'timed-out' };
        throw jobPending(job.service, FETCH_MS, seen?.task?.Status.Err);
      }
      await wait(LOOK_MS, undefined, { signal: context.signal });
    }
  } catch (error) {
    if (context.signal.aborted) await end(work);
    throw context.signal.aborted ? context.signal.reason : error;
  }
}

/** Should there be several tasks, the first is the one that counts. */
async function lookAt({ engine, place, name }: Work): Promise<{ state: JobState; task?: SwarmTask }> {
  const service = await inspectService(engine, name);
  if (service === null) return { state: { kind: 'ended', end: { kind: 'lost' } } };
  const [tasks, nodes] = await Promise.all([listTasks(engine, jobFilter(place)), listNodes(engine)]);
  const [task] = tasks
    .filter(({ ServiceID }) => ServiceID === service.ID)
    .toSorted((one, other) => (one.CreatedAt < other.CreatedAt ? -1 : 1));
  if (task === undefined) return { state: { kind: 'waiting' } };
  return { state: jobState(task, nodes, await wasOutOfMemory(engine, task)), task };
}

/** Swarm does not tell why a program was killed; the engine that ran it does, where that is the one that we ask. */
async function wasOutOfMemory(engine: DockerEngine, { Status, NodeID }: SwarmTask): Promise<boolean> {
  const id = Status.ContainerStatus?.ContainerID ?? '';
  if (Status.State !== 'failed' || id === '' || (await membership(engine)).nodeId !== NodeID) return false;
  return (await inspectContainer(engine, id))?.outOfMemory ?? false;
}

/** @returns up to where its output was told now */
async function tell({ engine, context }: Work, { ID }: SwarmTask, after: string, isAll: boolean): Promise<string> {
  let place = after;
  try {
    const since = after === '' ? '0' : secondsOf(after);
    const bytes = await taskLog(engine, ID, { since, timestamps: true });
    for await (const part of linesIn(bytes, after, isAll)) {
      for (const line of part.lines) context.log(line);
      place = part.place;
    }
  } catch {
    if (isAll) context.log('what it printed last could not be read: its node does not answer');
  }
  return place;
}

/** Ends the program, unless a newer hand has the place now: that follows it. */
async function end({ engine, place, name, context }: Work): Promise<void> {
  try {
    await claim(engine, place, context.token);
  } catch (error) {
    if (hasCode(error, 'deploy.fenced')) return;
    throw error;
  }
  await removeService(engine, name);
  await untilGone(engine, jobFilter(place), new AbortController().signal);
}
