import { untilTrue } from '../../lib/until.ts';
import { noNamespace, notOurs } from './deployment-error.ts';
import { isOurs, MANAGER, type Place, placeLabels, placeNotes } from './names.ts';
import type { Cluster } from './objects.ts';

const LEAVING_MS = 120_000;

/**
 * Sees to the namespace of a place. One of ours keeps pods from the nodes: what a branch deploys there does not get at them
 * (`baseline` of the Pod Security Standards).
 * @throws DeployError `kubernetes.no-namespace`, `kubernetes.not-ours`
 */
export async function ensureNamespace({ kubernetes }: Cluster, place: Place, signal: AbortSignal): Promise<void> {
  const { namespace, ownsNamespace } = place;
  const path = `/api/v1/namespaces/${namespace}`;
  const isLeaving = async (): Promise<boolean> =>
    (await kubernetes.get(path))?.metadata.deletionTimestamp !== undefined;
  if (!ownsNamespace) {
    // whoever may only work inside of a namespace may not look at it either: what is done there will tell
    const there = await kubernetes.get(path).catch(() => undefined);
    if (there === null || there?.metadata.deletionTimestamp !== undefined) throw noNamespace(namespace);
    return;
  }
  if (!(await untilTrue(async () => !(await isLeaving()), { everyMs: 200, timeoutMs: LEAVING_MS, signal })))
    throw noNamespace(namespace);
  const labels = {
    ...placeLabels(place),
    'pod-security.kubernetes.io/enforce': 'baseline',
    'app.kubernetes.io/managed-by': MANAGER,
  };
  const metadata = { name: namespace, labels, annotations: placeNotes(place) };
  await kubernetes.create(
    '/api/v1/namespaces',
    { apiVersion: 'v1', kind: 'Namespace', metadata },
    { doing: `make the namespace ${namespace}` },
  );
  const there = await kubernetes.get(path);
  if (there === null || !isOurs(there, place)) throw notOurs(`Namespace/${namespace}`, namespace);
}

/** Asks for its end; the cluster takes its time for that. */
export async function removeNamespace({ kubernetes }: Cluster, place: Place): Promise<void> {
  if (!place.ownsNamespace) return;
  const path = `/api/v1/namespaces/${place.namespace}`;
  const there = await kubernetes.get(path);
  if (there === null || !isOurs(there, place)) return;
  await kubernetes.remove(path, { uid: there.metadata.uid, doing: `remove the namespace ${place.namespace}` });
}
