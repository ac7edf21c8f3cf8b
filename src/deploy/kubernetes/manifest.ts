import { z } from 'zod';

/** An object as it is given to the API server. */
export type Manifest = z.infer<typeof Manifest>;
export const Manifest = z.looseObject({
  apiVersion: z.string().regex(/^([a-z0-9.-]+\/)?[a-z0-9]+$/),
  kind: z.string().regex(/^[A-Za-z0-9]+$/),
  metadata: z.looseObject({
    name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$/),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).nullish(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
});

export type Container = z.infer<typeof Container>;
const Container = z.looseObject({
  name: z.string(),
  image: z.string().optional(),
  env: z.array(z.looseObject({ name: z.string() })).nullish(),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).nullish(),
});

export type PodTemplate = z.infer<typeof PodTemplate>;
const PodTemplate = z.looseObject({
  metadata: z
    .looseObject({
      labels: z.record(z.string(), z.string()).nullish(),
      annotations: z.record(z.string(), z.string()).nullish(),
    })
    .nullish(),
  spec: z.looseObject({
    containers: z.array(Container),
    initContainers: z.array(Container).nullish(),
    volumes: z.array(z.looseObject({ name: z.string() })).nullish(),
  }),
});

/** Where the kinds that make pods say what a pod is. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
};

/** Kinds that are replaced replica by replica, and of which the cluster tells how far that is. */
export const ROLLED = new Set(['Deployment', 'StatefulSet', 'DaemonSet']);

/** The pods that an object makes; null where it makes none. A bare Pod is one that nothing replaces: it counts as none. */
export function templateOf(manifest: Manifest): PodTemplate | null {
  const path = TEMPLATES[manifest.kind];
  if (path === undefined) return null;
  let node: unknown = manifest;
  for (const key of path)
    node = typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[key] : undefined;
  const template = PodTemplate.safeParse(node);
  return template.success ? template.data : null;
}

/** The object with other pods. */
export function withTemplate(manifest: Manifest, template: PodTemplate): Manifest {
  const put = (node: unknown, [key, ...rest]: readonly string[]): unknown => {
    if (key === undefined) return template;
    const map = node as Record<string, unknown>;
    return { ...map, [key]: put(map[key], rest) };
  };
  return put(manifest, TEMPLATES[manifest.kind] ?? []) as Manifest;
}

/** What tells an object from all others of a namespace. */
export interface Ref {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
}

export function refOf({ apiVersion, kind, metadata }: Manifest): Ref {
  return { apiVersion, kind, name: metadata.name };
}

/** Equal for two versions of a kind: they are the same object. */
export function keyOf({ apiVersion, kind, name }: Ref): string {
  const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : '';
  return `${group} ${kind} ${name}`;
}

export function nameOf({ kind, name }: Ref): string {
  return `${kind}/${name}`;
}

export function isJob({ kind }: Pick<Ref, 'kind'>): boolean {
  return kind === 'Job';
}

/** What a commit that leaves it out must not take away: it goes with the environment. */
export function isData({ kind }: Ref): boolean {
  return kind === 'PersistentVolumeClaim';
}
