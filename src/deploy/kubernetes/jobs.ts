import { setTimeout as wait } from 'node:timers/promises';

import type { Clock } from '../../lib/clock.ts';
import { hasCode } from '../../lib/error.ts';
import type { Secrets } from '../../secret/secret.ts';
import type { ApplyContext, Desired, Job, JobEnd, Jobs } from '../driver.ts';
import { serviceOf } from '../local-jobs.ts';
import type { KubernetesConfig } from './config.ts';
import { jobStuck } from './deployment-error.ts';
import { jobEnd } from './job-end.ts';
import { jobManifest, jobName, started } from './job-manifest.ts';
import { tellJob } from './last-words.ts';
import { podOf } from './look.ts';
import { isJob, type Ref, refOf } from './manifest.ts';
import { manifestsOf } from './manifests.ts';
import { isOurs, placeFilter } from './names.ts';
import { ensureNamespace } from './namespace.ts';
import { applyObject, pathOf, podsGone, removeObjects } from './objects.ts';
import type { Places, Spot } from './places.ts';
import { claim, noteKnown } from './record.ts';
import type { Renderer } from './render.ts';
import { ensureSecrets, type Values, valuesOf } from './secrets.ts';
import { brokenBy } from './verdict.ts';

interface JobsParts {
  readonly places: Places;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly renderer: Renderer;
}

/** One job, where it runs. */
interface Work extends Spot {
  readonly job: Job;
  readonly ref: Ref;
  readonly values: Values;
  readonly context: ApplyContext;
}

const LOOK_MS = 200;
const OF_JOB = 'batch.kubernetes.io/job-name';

/**
 * Jobs as Jobs of the cluster, which go on while the server is away: whoever comes back finds them at work or ended, by their name.
 * One is given to the cluster without being started, then it is known of, then it is started: what is there and was not started may
 * be begun. It stays until it is forgotten, so that its end is seen though the server was killed meanwhile.
 */
export function kubernetesJobs({ places, secrets, clock, renderer }: JobsParts): Jobs<KubernetesConfig> {
  return {
    async run(desired, job, context) {
      const spot = await places.settle(desired);
      const { cluster, place } = spot;
      const values = await valuesOf({ services: [serviceOf(desired, job.service)] }, secrets);
      const work: Work = { ...spot, job, ref: refFor(desired, job.service), values, context };
      await ensureNamespace(cluster, place, context.signal);
      await claim(cluster.kubernetes, place, context.token);
      const there = await cluster.kubernetes.get(await pathOf(cluster, place, work.ref));
      if (there === null && job.begun) return { kind: 'lost' };
      try {
        if (there === null || isWaiting(there['spec'])) await begin(work, desired, renderer);
        else context.log('It was begun before this server was.');
        const end = await follow(work, clock);
        if (end.kind === 'timed-out') await remove(work);
        return end;
      } catch (error) {
        await remove(work).catch(() => undefined); // a newer hand follows it
        throw error;
      }
    },
    async forget(desired, service) {
      const spot = await places.known(desired.target);
      if (spot === null) return;
      const { cluster, place } = spot;
      const path = await pathOf(cluster, place, refFor(desired, service));
      const there = await cluster.kubernetes.get(path);
      if (there !== null && isOurs(there, place)) await cluster.kubernetes.remove(path, { uid: there.metadata.uid });
    },
  };
}

/** Ends Jobs, as far as they are ours, and waits until nothing of them runs. */
export async function endJobs(
  { cluster, place }: Spot,
  refs: readonly Ref[],
  { token, log, signal }: ApplyContext,
): Promise<void> {
  if (refs.length === 0) return;
  await removeObjects(cluster, place, refs, { token, log });
  await goneOf({ cluster, place }, refs, signal);
}

function refFor(desired: Desired, service: string): Ref {
  return { apiVersion: 'batch/v1', kind: 'Job', name: jobName(desired, service) };
}

function isWaiting(spec: unknown): boolean {
  return (spec as { readonly suspend?: boolean } | undefined)?.suspend === true;
}

/** Whatever else is known of Jobs of the environment is of deployments that ended: one at a time works there. */
async function begin(
  { cluster, place, job, values, context }: Work,
  desired: Desired<KubernetesConfig>,
  renderer: Renderer,
): Promise<void> {
  const { token, log, signal } = context;
  const manifests = await manifestsOf({ place, renderer }, desired, values, { log: () => undefined, signal });
  const manifest = jobManifest(manifests, { place, desired, job });
  const { known } = await claim(cluster.kubernetes, place, token);
  await endJobs({ cluster, place }, known.filter(isJob), context);
  await noteKnown(cluster.kubernetes, place, token, { operation: null, refs: [refOf(manifest)] });
  await ensureSecrets(cluster.kubernetes, place, values);
  const options = { token, log, conflicts: 'take' } as const;
  await applyObject(cluster, place, manifest, options);
  signal.throwIfAborted();
  await job.begin();
  await applyObject(cluster, place, started(manifest), options);
}

/** @throws DeployError `kubernetes.image-unavailable`, `deploy.exited` where its pod cannot be started */
async function follow(work: Work, clock: Clock): Promise<JobEnd> {
  const { job, ref, context } = work;
  const deadline = clock.elapsed() + job.timeoutMs;
  for (; ; await wait(LOOK_MS, undefined, { signal: context.signal })) {
    const seen = await look(work).catch(unlessUnreachable);
    if (seen === null) return { kind: 'lost' };
    const isLate = clock.elapsed() >= deadline;
    const end = seen === undefined ? null : jobEnd(seen.job, seen.pods, job.service);
    const broken = (seen?.pods ?? []).flatMap(brokenBy)[0];
    if (end === null && broken === undefined && !isLate) continue;
    if (seen !== undefined) {
      const isGood = end?.kind === 'exited' && end.code === 0;
      const { pods, job: of } = seen;
      await tellJob(work, { service: job.service, uid: of.metadata.uid, pods, isGood }, work.values);
    }
    if (end !== null) return end;
    if (broken !== undefined) throw jobStuck(broken.code, ref.name, broken.why);
    return { kind: 'timed-out' };
  }
}

/** @returns null when it is not there any more */
async function look({ cluster, place, ref }: Work) {
  const job = await cluster.kubernetes.get(await pathOf(cluster, place, ref));
  if (job === null) return null;
  const labels = [...placeFilter(place), `${OF_JOB}=${ref.name}`];
  const pods = await cluster.kubernetes.list(`/api/v1/namespaces/${place.namespace}/pods`, { labels });
  return { job, pods: (pods ?? []).map(podOf) };
}

/** A cluster whose own machines are changed does not answer for a while; what runs in it goes on. */
function unlessUnreachable(error: unknown): undefined {
  if (!hasCode(error, 'kubernetes.unreachable')) throw error;
}

/** Whoever gave up waiting for it waits for its end: what it still does would meet what comes next. */
function remove({ cluster, place, ref, context }: Work): Promise<void> {
  return endJobs({ cluster, place }, [ref], { ...context, signal: new AbortController().signal });
}

async function goneOf({ cluster, place }: Spot, refs: readonly Ref[], signal: AbortSignal): Promise<void> {
  const names = new Set(refs.map(({ name }) => name));
  await podsGone(cluster.kubernetes, place, ({ metadata }) => names.has(metadata.labels?.[OF_JOB] ?? ''), signal);
}
