import type { Kubernetes, KubernetesObject } from '../../container/kubernetes/kubernetes.ts';
import { KubernetesRefused } from '../../container/kubernetes/kubernetes-error.ts';
import type { Resources } from '../../container/kubernetes/resources.ts';
import { hasCode } from '../../lib/error.ts';
import type { LogLine } from '../../lib/log.ts';
import { untilTrue } from '../../lib/until.ts';
import { contended, notOurs, outside } from './deployment-error.ts';
import { type Manifest, nameOf, type Ref, refOf } from './manifest.ts';
import { isOurs, MANAGER, type Place, placeLabels } from './names.ts';
import { claim } from './record.ts';

/** A cluster, with what it knows. */
export interface Cluster {
  readonly kubernetes: Kubernetes;
  readonly resources: Resources;
}

export interface ApplyOptions {
  readonly token: bigint;
  readonly conflicts: 'take' | 'refuse';
  readonly log: LogLine;
  /** The API server says what it would do, and does nothing. */
  readonly dryRun?: boolean;
}

const TRIES = 20;
const GONE_MS = 120_000;

/**
 * Gives one object to the cluster. It names the version that was looked at before the claim, so that a late hand changes nothing.
 * @throws DeployError `deploy.fenced`, `kubernetes.not-ours`, `kubernetes.outside`; KubernetesError `kubernetes.conflict`, `kubernetes.invalid`
 */
export async function applyObject(
  { kubernetes, resources }: Cluster,
  place: Place,
  manifest: Manifest,
  { token, conflicts, log, dryRun = false }: ApplyOptions,
): Promise<KubernetesObject> {
  const ref = refOf(manifest);
  const doing = `apply ${nameOf(ref)}`;
  const path = await pathOf({ resources }, place, ref);
  for (let tries = 0; tries < TRIES; tries++) {
    const there = await kubernetes.get(path);
    if (there !== null && !isOurs(there, place)) throw notOurs(nameOf(ref), place.namespace);
    if (!dryRun) await claim(kubernetes, place, token);
    const metadata = {
      ...manifest.metadata,
      ...(there === null ? {} : { resourceVersion: there.metadata.resourceVersion }),
    };
    const body = { ...manifest, metadata };
    const apply = (force: boolean) => kubernetes.apply(path, body, { doing, manager: MANAGER, force, dryRun });
    try {
      return await apply(false);
    } catch (error) {
      if (hasCode(error, 'kubernetes.changed')) continue;
      if (!(error instanceof KubernetesRefused) || error.code !== 'kubernetes.conflict' || conflicts === 'refuse')
        throw error;
      if (!dryRun)
        for (const { field, message } of error.refusal.conflicts)
          log(`take back ${field} of ${nameOf(ref)}: ${message}`);
    }
    try {
      return await apply(true);
    } catch (error) {
      if (!hasCode(error, 'kubernetes.changed')) throw error;
    }
  }
  throw contended(nameOf(ref));
}

/** Takes objects away that are ours, and waits until they and their pods are gone. Twice is as good as once. */
export async function removeObjects(
  { kubernetes, resources }: Cluster,
  place: Place,
  refs: readonly Ref[],
  { token, log }: Pick<ApplyOptions, 'token' | 'log'>,
): Promise<void> {
  for (const ref of refs) {
    const path = await pathOf({ resources }, place, ref).catch(unlessUnknown);
    const there = path === null ? null : await kubernetes.get(path);
    if (path === null || there === null || !isOurs(there, place)) continue; // what others own is not touched
    await claim(kubernetes, place, token);
    log(`remove ${nameOf(ref)}`);
    await kubernetes.remove(path, { uid: there.metadata.uid });
  }
}

/** Until nothing more of these pods is there. @param isMeant of the labels and notes of a pod */
export async function podsGone(
  kubernetes: Kubernetes,
  place: Place,
  isMeant: (pod: KubernetesObject) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const labels = Object.entries(placeLabels(place)).map(([name, value]) => `${name}=${value}`);
  await untilTrue(
    async () => {
      const pods = await kubernetes.list(`/api/v1/namespaces/${place.namespace}/pods`, { labels });
      return !(pods ?? []).some(isMeant);
    },
    { everyMs: 150, timeoutMs: GONE_MS, signal },
  );
}

export async function pathOf({ resources }: Pick<Cluster, 'resources'>, place: Place, ref: Ref): Promise<string> {
  const resource = await resources.of(ref.apiVersion, ref.kind);
  if (!resource.isNamespaced) throw outside(nameOf(ref), 'a kind of the whole cluster');
  return resource.path(place.namespace, ref.name);
}

/** A kind that is gone from the cluster has taken its objects with it. */
function unlessUnknown(error: unknown): null {
  if (hasCode(error, 'kubernetes.unknown-kind')) return null;
  throw error;
}
