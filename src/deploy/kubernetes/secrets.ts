import type { Kubernetes } from '../../container/kubernetes/kubernetes.ts';
import type { Secrets } from '../../secret/secret.ts';
import { DeployError } from '../deploy-error.ts';
import { checkSecretNames } from '../docker/secrets.ts';
import type { Desired } from '../driver.ts';
import { MANAGER, type Place, placeFilter, placeLabels, placeNotes, RECORD, secretName } from './names.ts';
import { claim } from './record.ts';

/** What Kubernetes takes for one Secret, in bytes, with some room for names. */
const LARGEST = 1000 * 1024;

/** Service -> file -> value. */
export type Values = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** All resolved a moment ago. @throws DeployError `deploy.secret-name`, `kubernetes.secret-size`; SecretError */
export async function valuesOf({ services }: Pick<Desired, 'services'>, secrets: Secrets): Promise<Values> {
  const all = await Promise.all(
    services.map(async ({ service, secrets: references }) => {
      const named = Object.entries(references);
      const values = await Promise.all(named.map(([, reference]) => secrets.resolve(reference)));
      const each = new Map(named.map(([name], index) => [name, values[index] ?? '']));
      checkSecretNames(each);
      checkSize(service, each);
      return [service, each] as const;
    }),
  );
  return new Map(all.filter(([, each]) => each.size > 0));
}

/** Service -> the name that the content of its secrets gives them. */
export function secretNames(place: Place, values: Values): ReadonlyMap<string, string> {
  return new Map([...values].map(([service, each]) => [service, secretName(place, service, each)]));
}

/** Sees to it that they are there. One that is there never changes: another content has another name. */
export async function ensureSecrets(kubernetes: Kubernetes, place: Place, values: Values): Promise<void> {
  for (const [service, each] of values) {
    const name = secretName(place, service, each);
    const metadata = { name, labels: { ...placeLabels(place), ...OF_A_SERVICE }, annotations: placeNotes(place) };
    const data = Object.fromEntries([...each].map(([file, value]) => [file, Buffer.from(value).toString('base64')]));
    const object = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', immutable: true, metadata, data };
    await kubernetes.create(collection(place), object, { doing: `make the secrets of ${JSON.stringify(service)}` });
  }
}

/**
 * Removes what nothing uses any more. What a newer hand has made was made under its token: a late one is told so before it removes.
 * @throws DeployError `deploy.fenced`
 */
export async function sweepSecrets(
  kubernetes: Kubernetes,
  place: Place,
  token: bigint,
  used: ReadonlySet<string>,
): Promise<void> {
  const labels = [...placeFilter(place), ...Object.entries(OF_A_SERVICE).map(([name, value]) => `${name}=${value}`)];
  const there = (await kubernetes.list(collection(place), { labels })) ?? [];
  for (const { metadata } of there) {
    if (used.has(metadata.name) || metadata.name === RECORD) continue;
    await claim(kubernetes, place, token);
    await kubernetes.remove(`${collection(place)}/${metadata.name}`, { uid: metadata.uid });
  }
}

const OF_A_SERVICE = { 'towpath.dev/secrets': 'of-a-service', 'app.kubernetes.io/managed-by': MANAGER };

function collection({ namespace }: Place): string {
  return `/api/v1/namespaces/${namespace}/secrets`;
}

function checkSize(service: string, values: ReadonlyMap<string, string>): void {
  const bytes = [...values.values()].reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  if (bytes <= LARGEST) return;
  throw new DeployError({
    code: 'kubernetes.secret-size',
    what: `The secrets of ${JSON.stringify(service)} have ${bytes} bytes together; Kubernetes takes up to ${LARGEST}.`,
    fix: 'Keep what is so large elsewhere, and give a secret that opens it.',
  });
}
