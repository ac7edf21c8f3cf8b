import { createClusters } from '../../container/kubernetes/clusters.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Secrets } from '../../secret/secret.ts';
import type { Store } from '../../store/database.ts';
import type { ApplyContext, Desired, DeployDriver, Target } from '../driver.ts';
import type { Ledger } from '../ledger-store.ts';
import { serviceOf } from '../local-jobs.ts';
import { type KubernetesConfig, kubernetesStatement } from './config.ts';
import { endJobs, kubernetesJobs } from './jobs.ts';
import { tellLastWords } from './last-words.ts';
import { servicesIn } from './look.ts';
import { isData, isJob, keyOf, type Manifest, nameOf, type Ref, refOf, ROLLED, templateOf } from './manifest.ts';
import { comesBefore, runJobs } from './manifest-jobs.ts';
import { manifestsOf } from './manifests.ts';
import { NOTE, type Place } from './names.ts';
import { ensureNamespace, removeNamespace } from './namespace.ts';
import { applyObject, type Cluster, pathOf, podsGone, removeObjects } from './objects.ts';
import { observeKubernetes, templateHash } from './observe.ts';
import { createPlaces, type Spot } from './places.ts';
import { type KubernetesAction, planKubernetes } from './plan.ts';
import { putBack } from './put-back.ts';
import { claim, forget, noteApplied, noteKnown, readRecord } from './record.ts';
import type { Renderer } from './render.ts';
import { awaitRest, awaitService, type Rollout } from './rollout.ts';
import { ensureSecrets, secretNames, sweepSecrets, type Values, valuesOf } from './secrets.ts';

export interface KubernetesDriverParts {
  readonly store: Store;
  /** Tells apart the installations that share a cluster. */
  readonly installation: string;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly renderer: Renderer;
  /** Of the drivers of this machine: told that what they ran does not serve any more. */
  readonly ledger: Ledger;
  /** Of the server: how clusters are reached. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

type Driver = DeployDriver<KubernetesConfig, KubernetesAction>;

/** Gives the objects of a release to a Kubernetes cluster, which replaces replicas by itself; and sees what then runs. */
export function createKubernetesDriver(parts: KubernetesDriverParts): Driver {
  const clusters = createClusters({ ...parts, secretOf: (reference) => parts.secrets.resolve(reference) });
  const places = createPlaces({ ...parts, connect: clusters.of });
  const end = async (target: Target, context: ApplyContext): Promise<void> => {
    const spot = await places.known(target);
    if (spot === null) return;
    await removeAll(spot.cluster, spot.place, context);
    await places.forget(target);
  };
  return {
    ...kubernetesStatement,
    plan: planKubernetes,
    apply: async (desired, actions, context) => {
      if (actions.length === 0) return;
      await apply({ ...parts, ...(await places.settle(desired)) }, desired, actions, context);
    },
    observe: async (target) => {
      const spot = await places.known(target);
      return spot === null ? { services: {} } : observeKubernetes(spot.cluster, spot.place);
    },
    destroy: end,
    jobs: kubernetesJobs({ ...parts, places }),
    handOver: end,
  };
}

type Work = Pick<KubernetesDriverParts, 'secrets' | 'clock' | 'renderer' | 'ledger'> & Spot;

async function apply(
  work: Work,
  desired: Desired<KubernetesConfig>,
  actions: readonly KubernetesAction[],
  context: ApplyContext,
): Promise<void> {
  const { cluster, place, clock } = work;
  const rollout = { cluster, place, clock, desired, context };
  const values = await valuesOf(desired, work.secrets);
  const manifests = await manifestsOf(work, desired, values, context);
  try {
    for (const action of actions) {
      context.signal.throwIfAborted();
      if (action.kind === 'namespace') await ensureNamespace(cluster, place, context.signal);
      await claim(cluster.kubernetes, place, context.token);
      context.log(action.summary);
      await act(work, { ...rollout, manifests }, action, values);
    }
  } catch (error) {
    await tellLastWords(rollout, values).catch(() => undefined);
    if (!(await putBack(rollout))) context.log('what was before could not be put back now; the next rollout does it');
    throw error;
  }
}

async function act({ ledger }: Work, rollout: Rollout, action: KubernetesAction, values: Values): Promise<void> {
  const { cluster, place, desired, manifests, context } = rollout;
  const { token, log, signal } = context;
  const { operation } = desired;
  const options = { token, log, conflicts: desired.config.conflicts };
  const lasting = manifests.filter((manifest) => !isJob(manifest));
  switch (action.kind) {
    case 'namespace': // what a deployment that ended left at work, such as a migration of a server that was killed, meets nothing new
      return endJobs({ cluster, place }, (await leftOf(rollout)).filter(isJob), context);
    case 'check':
      for (const manifest of manifests) await applyObject(cluster, place, manifest, { ...options, dryRun: true });
      return;
    case 'secrets':
      return ensureSecrets(cluster.kubernetes, place, values);
    case 'jobs':
      await noteKnown(cluster.kubernetes, place, token, { operation, refs: manifests.filter(comesBefore).map(refOf) });
      await ensureSecrets(cluster.kubernetes, place, values);
      return runJobs(rollout);
    case 'apply':
      await noteKnown(cluster.kubernetes, place, token, { operation, refs: manifests.map(refOf) });
      await ensureSecrets(cluster.kubernetes, place, values);
      for (const manifest of podsLast(lasting)) await applyObject(cluster, place, manifest, options);
      return;
    case 'await-healthy':
      return awaitService(rollout, serviceOf(desired, action.service));
    case 'await-rest':
      return awaitRest(rollout);
    case 'prune': {
      const left = await leftOf(rollout);
      for (const ref of left.filter(isData))
        log(`${nameOf(ref)} is no part of it any more and stays, with what lies in it`);
      await removeObjects(
        cluster,
        place,
        left.filter((ref) => !isData(ref)),
        options,
      );
      return podsGone(cluster.kubernetes, place, ({ metadata }) => isLeft(metadata.annotations ?? {}, desired), signal);
    }
    case 'tidy': {
      const templates = await templatesOf(cluster, place, lasting);
      const applied = { operation, manifests: lasting, templates };
      const besides = [...manifests.filter(isJob).map(refOf), ...(await leftOf(rollout)).filter(isData)];
      await noteApplied(cluster.kubernetes, place, token, applied, besides);
      await sweepSecrets(cluster.kubernetes, place, token, new Set(secretNames(place, values).values()));
      // an environment that was run by a driver of this machine before: nothing of that serves any more
      for (const service of Object.keys(await ledger.serving(desired.target)))
        await ledger.serve(desired.target, service, null);
      return;
    }
    default:
      return action satisfies never;
  }
}

/** Objects of before that are no part of the release any more. */
async function leftOf({ cluster, place, manifests, context }: Rollout): Promise<Ref[]> {
  const { known } = await claim(cluster.kubernetes, place, context.token);
  const keys = new Set(manifests.map((manifest) => keyOf(refOf(manifest))));
  return known.filter((ref) => !keys.has(keyOf(ref)));
}

/** What pods need is there before them. */
function podsLast(manifests: readonly Manifest[]): Manifest[] {
  return manifests.toSorted((one, other) => Number(templateOf(one) !== null) - Number(templateOf(other) !== null));
}

/** What the cluster made of the pods that it was given. */
async function templatesOf(
  cluster: Cluster,
  place: Place,
  manifests: readonly Manifest[],
): Promise<Record<string, string>> {
  const found = await Promise.all(
    manifests
      .filter(({ kind }) => ROLLED.has(kind))
      .map(async (manifest) => {
        const there = await cluster.kubernetes.get(await pathOf(cluster, place, refOf(manifest)));
        const hash = there === null ? null : templateHash(there);
        return hash === null ? [] : [[keyOf(refOf(manifest)), hash] as const];
      }),
  );
  return Object.fromEntries(found.flat());
}

/** Whether a pod runs a service that the release does not have any more. */
function isLeft(annotations: Readonly<Record<string, string>>, { services }: Desired): boolean {
  const own = new Set(services.map(({ service }) => service));
  return Object.values(servicesIn(annotations[NOTE.services])).some((service) => !own.has(service));
}

/** Objects first, then what they used; last who may write here. */
async function removeAll(cluster: Cluster, place: Place, context: ApplyContext): Promise<void> {
  const { token, log, signal } = context;
  const { kubernetes } = cluster;
  if ((await readRecord(kubernetes, place)) === null) return removeNamespace(cluster, place);
  const { known } = await claim(kubernetes, place, token);
  await removeObjects(cluster, place, known, { token, log });
  await podsGone(kubernetes, place, () => true, signal);
  await sweepSecrets(kubernetes, place, token, new Set());
  await forget(kubernetes, place, token);
  await removeNamespace(cluster, place);
}
