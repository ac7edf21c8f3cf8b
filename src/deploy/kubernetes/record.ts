import { gunzipSync, gzipSync } from 'node:zlib';

import { z } from 'zod';

import type { Kubernetes, KubernetesObject } from '../../container/kubernetes/kubernetes.ts';
import { fenced } from '../deploy-error.ts';
import { badRecord, contended, notOurs, tooMuch } from './deployment-error.ts';
import { keyOf, Manifest, type Ref, refOf } from './manifest.ts';
import { isOurs, MANAGER, NOTE, type Place, placeLabels, placeNotes, RECORD } from './names.ts';

/*
 * What an environment remembers in its namespace: the highest token that wrote there, which objects may be its own, and what was
 * applied by the last deployment that succeeded, to put it back. It is a Secret, for manifests may hold some. It changes only by its
 * newest version, so of two hands one comes too late and looks again.
 */

export interface Applied {
  readonly operation: string;
  readonly manifests: readonly Manifest[];
  /** Object -> hash of its pods as the cluster had them then: another one is a change by hand. */
  readonly templates: Readonly<Record<string, string>>;
}

export interface EnvironmentRecord {
  readonly token: bigint;
  readonly applied: Applied | null;
  /** All that was given to the cluster and not yet taken away again. */
  readonly known: readonly Ref[];
  /** The operation that gave objects to the cluster, and neither succeeded nor was put back by now. */
  readonly begun: string | null;
}

const AppliedText = z.object({
  operation: z.string(),
  manifests: z.array(Manifest),
  templates: z.record(z.string(), z.string()),
});
const Known = z.array(z.object({ apiVersion: z.string(), kind: z.string(), name: z.string() }));
const Data = z.looseObject({ data: z.record(z.string(), z.string()).optional() });

const TRIES = 20;
/** A Secret takes a megabyte. */
const MOST_BYTES = 900 * 1024;
/** Manifests are read up to 16 MB, and are somewhat larger as JSON. */
const MOST_UNPACKED_BYTES = 64 * 1024 * 1024;

/**
 * Says that we write to a place now, under this token, unless a higher one was seen.
 * @throws DeployError `deploy.fenced`, `kubernetes.record`
 */
export async function claim(kubernetes: Kubernetes, place: Place, token: bigint): Promise<EnvironmentRecord> {
  return change(kubernetes, place, token, (record) => record);
}

/**
 * Before objects are given to the cluster: whoever comes after a kill knows of them.
 * @param operation what has to be put back unless it succeeds; null where nothing of what runs is changed by them
 */
export async function noteKnown(
  kubernetes: Kubernetes,
  place: Place,
  token: bigint,
  { operation, refs }: { readonly operation: string | null; readonly refs: readonly Ref[] },
): Promise<void> {
  await change(kubernetes, place, token, ({ known, begun, ...rest }) => {
    const all = new Map([...known, ...refs].map((ref) => [keyOf(ref), ref]));
    return { ...rest, known: [...all.values()], begun: operation ?? begun };
  });
}

/**
 * After a deployment: what stands there is all that is known, and what is put back if the next one fails.
 * @param besides what stays, and is never given to the cluster again: Jobs
 */
export async function noteApplied(
  kubernetes: Kubernetes,
  place: Place,
  token: bigint,
  applied: Applied | null,
  besides: readonly Ref[] = [],
): Promise<void> {
  await change(kubernetes, place, token, (record) => ({
    ...record,
    applied,
    begun: null,
    known: [...(applied?.manifests ?? []).map(refOf), ...besides],
  }));
}

/** @throws DeployError `kubernetes.record` when somebody wrote there what nobody can read */
export async function readRecord(kubernetes: Kubernetes, place: Place): Promise<EnvironmentRecord | null> {
  const found = await kubernetes.get(pathOf(place));
  return found === null || !isOurs(found, place) ? null : recordOf(found);
}

/** Forgets a place that is gone: one that is made later counts from the start. */
export async function forget(kubernetes: Kubernetes, place: Place, token: bigint): Promise<void> {
  const found = await kubernetes.get(pathOf(place));
  if (found === null || !isOurs(found, place) || recordOf(found).token > token) return;
  const { uid, resourceVersion } = found.metadata;
  await kubernetes.remove(pathOf(place), { uid, resourceVersion });
}

async function change(
  kubernetes: Kubernetes,
  place: Place,
  token: bigint,
  to: (record: EnvironmentRecord) => EnvironmentRecord,
): Promise<EnvironmentRecord> {
  for (let tries = 0; tries < TRIES; tries++) {
    const found = await kubernetes.get(pathOf(place));
    if (found !== null && !isOurs(found, place)) throw notOurs(`Secret/${RECORD}`, place.namespace);
    const seen = found === null ? { token: 0n, applied: null, known: [], begun: null } : recordOf(found);
    if (seen.token > token) throw fenced(`"${place.target.environment}" of ${place.target.project}`, token, seen.token);
    const next = { ...to(seen), token };
    if (found !== null && JSON.stringify(dataOf(next)) === JSON.stringify(dataOf(seen)) && seen.token === token)
      return seen;
    const body = objectOf(place, next, found);
    const changed = await (found === null
      ? kubernetes.create(`/api/v1/namespaces/${place.namespace}/secrets`, body)
      : kubernetes.replace(pathOf(place), body));
    if (changed !== null) return next;
  }
  throw contended(`Who writes to "${place.target.environment}"`);
}

function objectOf(place: Place, record: EnvironmentRecord, found: KubernetesObject | null) {
  const data = dataOf(record);
  const bytes = Object.values(data).reduce((sum, text) => sum + text.length, 0);
  if (bytes > MOST_BYTES) throw tooMuch(bytes);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name: RECORD,
      namespace: place.namespace,
      labels: { ...placeLabels(place), 'app.kubernetes.io/managed-by': MANAGER },
      annotations: { ...placeNotes(place), [NOTE.token]: String(record.token) },
      ...(found === null ? {} : { uid: found.metadata.uid, resourceVersion: found.metadata.resourceVersion }),
    },
    data,
  };
}

function dataOf({ applied, known, begun }: EnvironmentRecord): Record<string, string> {
  const packed = applied === null ? {} : { applied: gzipSync(JSON.stringify(applied)).toString('base64') };
  const rest = { known: JSON.stringify(known), ...(begun === null ? {} : { begun }) };
  const plain = Object.entries(rest).map(([name, text]) => [name, Buffer.from(text).toString('base64')]);
  return { ...packed, ...Object.fromEntries(plain) };
}

function recordOf(found: KubernetesObject): EnvironmentRecord {
  const text = found.metadata.annotations?.[NOTE.token] ?? '';
  const token = /^\d{1,30}$/.test(text) ? BigInt(text) : 0n;
  try {
    const { applied, known, begun } = Data.parse(found).data ?? {};
    return {
      token,
      applied: applied === undefined ? null : AppliedText.parse(JSON.parse(unpacked(applied))),
      begun: begun === undefined ? null : Buffer.from(begun, 'base64').toString('utf8'),
      known: known === undefined ? [] : Known.parse(JSON.parse(Buffer.from(known, 'base64').toString('utf8'))),
    };
  } catch {
    throw badRecord(found.metadata.namespace ?? '', RECORD); // what it holds is told to nobody
  }
}

/** Whoever may write Secrets there may have packed in what fills a machine. */
function unpacked(applied: string): string {
  return gunzipSync(Buffer.from(applied, 'base64'), { maxOutputLength: MOST_UNPACKED_BYTES }).toString('utf8');
}

function pathOf({ namespace }: Pick<Place, 'namespace'>): string {
  return `/api/v1/namespaces/${namespace}/secrets/${RECORD}`;
}
