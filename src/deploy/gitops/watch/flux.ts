import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import { GitopsError } from '../gitops-error.ts';
import { oneLine, type Sight } from './sight.ts';
import { type Cluster, type Teller, teller, type Watch } from './watch.ts';
import { lookAtWorkloads } from './workloads.ts';

const Condition = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string().default(''),
  message: z.string().default(''),
  observedGeneration: z.number().optional(),
});

/** What objects of Flux have in common. @see fluxcd/pkg, `apis/meta`; kstatus of kubernetes-sigs/cli-utils */
const common = {
  metadata: z.object({ namespace: z.string(), generation: z.number().default(0) }),
  status: z
    .object({
      observedGeneration: z.number().default(-1),
      conditions: z.array(Condition).default([]),
      lastAppliedRevision: z.string().default(''),
      lastAttemptedRevision: z.string().default(''),
    })
    .prefault({}),
};

const Kustomization = z.object({
  ...common,
  spec: z.object({
    suspend: z.boolean().default(false),
    wait: z.boolean().default(false),
    healthChecks: z.array(z.unknown()).default([]),
    targetNamespace: z.string().optional(),
    sourceRef: z.object({ kind: z.string(), name: z.string(), namespace: z.string().optional() }),
  }),
});
type Kustomization = z.infer<typeof Kustomization>;

const HelmRelease = z.object({
  ...common,
  spec: z.object({ suspend: z.boolean().default(false), targetNamespace: z.string().optional() }),
});

const Source = z.object(common);

export interface FluxTarget {
  readonly kustomization: string;
  /** One that the kustomization applies; none when it applies workloads itself. */
  readonly helmRelease?: string | undefined;
  readonly namespace: string;
  /** Where the workloads are, when the objects of Flux do not say it. */
  readonly targetNamespace?: string | undefined;
}

const SOURCES: Readonly<Record<string, string>> = {
  GitRepository: 'gitrepositories',
  OCIRepository: 'ocirepositories',
  Bucket: 'buckets',
};

/**
 * Reads the Kustomization (and a HelmRelease that it applies): which commit was applied, and how that went. Flux tells no images,
 * so those of the workloads that bear its labels are looked at.
 */
export function fluxWatch(target: FluxTarget, cluster: Cluster): Watch {
  const { kustomization: name, helmRelease, namespace } = target;
  const at = (api: string, kind: string, plural: string, of: { readonly name: string; readonly namespace: string }) =>
    teller(cluster, { api: `${api}.toolkit.fluxcd.io/${api === 'helm' ? 'v2' : 'v1'}`, kind, plural, ...of });
  const kustomization = at('kustomize', 'Kustomization', 'kustomizations', { name, namespace });
  const release =
    helmRelease === undefined ? null : at('helm', 'HelmRelease', 'helmreleases', { name: helmRelease, namespace });
  const sourceOf = ({ spec: { sourceRef } }: Kustomization): Teller | null => {
    const plural = SOURCES[sourceRef.kind];
    if (plural === undefined) return null;
    return at('source', sourceRef.kind, plural, { name: sourceRef.name, namespace: sourceRef.namespace ?? namespace });
  };
  const readKustomization = async (signal: AbortSignal): Promise<Kustomization> =>
    parse(Kustomization, await kustomization.read(signal));

  return {
    name: `Flux, kustomization ${namespace}/${name}${helmRelease === undefined ? '' : ` and release ${helmRelease}`}`,
    check: async (signal) => {
      const object = await readKustomization(signal);
      const { wait, healthChecks } = object.spec;
      if (release === null && !wait && healthChecks.length === 0) throw blind(`${namespace}/${name}`);
      await release?.read(signal);
      for (const asked of [sourceOf(object), kustomization]) await asked?.annotate({}, signal);
    },
    ask: async (signal) => {
      const requested = { 'reconcile.fluxcd.io/requestedAt': randomUUID() };
      await sourceOf(await readKustomization(signal))?.annotate(requested, signal);
      await kustomization.annotate(requested, signal);
    },
    look: async (signal) => {
      const object = await readKustomization(signal);
      const helm = release === null ? null : parse(HelmRelease, await release.read(signal));
      const source = sourceOf(object);
      const fetched = source === null ? null : stateOf('its source', parse(Source, await source.read(signal)));
      const applied = stateOf('the kustomization', object, object.spec.suspend);
      const parts = [applied, ...(helm === null ? [] : [stateOf('the release', helm, helm.spec.suspend)])];
      const workloads = await lookAtWorkloads(cluster, whereOf(target, object, helm), signal);
      const part = parts.find(({ state }) => state !== 'good') ?? workloads;
      return {
        looked: true, // it tells by the commit
        revisions: revisionsOf(object, applied.state),
        state: part.state,
        says: fetched?.state === 'bad' ? `${part.says}; ${fetched.says}` : part.says,
        images: workloads.images,
      };
    },
  };
}

/**
 * By the conventions of kstatus: what it tells of another generation than the newest is of before. Of one that failed the
 * condition alone says which it was.
 */
function stateOf(
  what: string,
  { metadata, status }: Pick<Kustomization, 'metadata' | 'status'>,
  isSuspended = false,
): Pick<Sight, 'state' | 'says'> {
  if (isSuspended) return { state: 'coming', says: `${what} is suspended: resume it in Flux` };
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  if (ready === undefined || (ready.observedGeneration ?? status.observedGeneration) < metadata.generation)
    return { state: 'coming', says: `${what} is not looked at yet` };
  const says = `${what}: ${ready.reason}: ${oneLine(ready.message)}`;
  if (ready.status === 'True') return { state: 'good', says };
  const waits = ready.status !== 'False' || ready.reason === 'DependencyNotReady' || ready.reason === 'Progressing';
  return { state: waits ? 'coming' : 'bad', says };
}

/** `main@sha1:SHA`, of the last that was applied; of one that went wrong, of the last that was tried. */
function revisionsOf({ status }: Kustomization, state: Sight['state']): string[] {
  const revision = state === 'good' ? status.lastAppliedRevision : status.lastAttemptedRevision;
  const oid = /[@:]?(?:sha1|sha256):([0-9a-f]{40,64})$/.exec(revision)?.[1];
  return oid === undefined ? [] : [oid];
}

function whereOf(
  { kustomization, helmRelease, namespace, targetNamespace }: FluxTarget,
  object: Kustomization,
  helm: z.infer<typeof HelmRelease> | null,
): { readonly namespace: string; readonly labels: readonly string[] } {
  const owner = helmRelease === undefined ? ['kustomize', kustomization] : ['helm', helmRelease];
  return {
    namespace: targetNamespace ?? helm?.spec.targetNamespace ?? object.spec.targetNamespace ?? namespace,
    labels: [`${owner[0]}.toolkit.fluxcd.io/name=${owner[1]}`, `${owner[0]}.toolkit.fluxcd.io/namespace=${namespace}`],
  };
}

function parse<T extends z.ZodType>(schema: T, object: unknown): z.output<T> {
  const parsed = schema.safeParse(object);
  if (parsed.success) return parsed.data;
  throw new GitopsError({
    code: 'gitops.watch-unreadable',
    what: 'An object of Flux is not one that Towpath knows how to read.',
    fix: 'Flux 2 writes what is read here; look whether another program owns that kind of object.',
  });
}

function blind(name: string): GitopsError {
  return new GitopsError({
    code: 'gitops.watch-blind',
    what: `The kustomization ${name} does not look at the health of what it applies: its "Ready" would tell nothing.`,
    fix: 'Set `wait: true` or `healthChecks` in its spec, or name the `helmRelease` that it applies.',
  });
}
