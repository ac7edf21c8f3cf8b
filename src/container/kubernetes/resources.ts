import { z } from 'zod';

import type { Kubernetes } from './kubernetes.ts';
import { KubernetesError } from './kubernetes-error.ts';

/** A kind as the API server has it. */
export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
  /** Where all of a namespace are. */
  collection(namespace: string): string;
  /** Where one is. */
  path(namespace: string, name: string): string;
}

/** Kinds of this cluster by what a manifest calls them, asked once each. */
export interface Resources {
  /** @throws KubernetesError `kubernetes.unknown-kind` */
  of(apiVersion: string, kind: string): Promise<Resource>;
}

const ResourceList = z.looseObject({
  resources: z.array(z.looseObject({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
});

export function resourcesOf(kubernetes: Pick<Kubernetes, 'text'>): Resources {
  const known = new Map<string, Promise<z.infer<typeof ResourceList>['resources']>>();
  const groupOf = (apiVersion: string): Promise<z.infer<typeof ResourceList>['resources']> => {
    const asked = known.get(apiVersion) ?? askGroup(kubernetes, apiVersion);
    known.set(apiVersion, asked);
    asked.catch(() => known.delete(apiVersion));
    return asked;
  };
  return {
    of: async (apiVersion, kind) => {
      const found = (await groupOf(apiVersion)).find((one) => one.kind === kind && !one.name.includes('/'));
      if (found === undefined) {
        known.delete(apiVersion); // it may be made in a moment
        throw unknownKind(apiVersion, kind);
      }
      return resourceOf(apiVersion, kind, found.name, found.namespaced);
    },
  };
}

/** One whose name is known without asking. */
export function resourceOf(apiVersion: string, kind: string, plural: string, isNamespaced = true): Resource {
  const collection = (namespace: string): string =>
    `${rootOf(apiVersion)}${isNamespaced ? `/namespaces/${segment(namespace)}` : ''}/${plural}`;
  return {
    apiVersion,
    kind,
    isNamespaced,
    collection,
    path: (namespace, name) => `${collection(namespace)}/${segment(name)}`,
  };
}

async function askGroup(kubernetes: Pick<Kubernetes, 'text'>, apiVersion: string) {
  const text = await kubernetes.text(rootOf(apiVersion), {}, { doing: `say which kinds ${apiVersion} has` });
  return text === null ? [] : ResourceList.parse(JSON.parse(text)).resources;
}

function rootOf(apiVersion: string): string {
  const parts = apiVersion.split('/').map(segment).join('/');
  return apiVersion.includes('/') ? `/apis/${parts}` : `/api/${parts}`;
}

/** A part of a path, which leads nowhere else. */
function segment(name: string): string {
  if (!/^\.*$/.test(name) && !/[/%\0]/.test(name)) return encodeURIComponent(name);
  throw new KubernetesError({
    code: 'kubernetes.invalid',
    what: `${JSON.stringify(name)} cannot be a name in Kubernetes.`,
    fix: 'Use small letters, digits and `-`.',
  });
}

function unknownKind(apiVersion: string, kind: string): KubernetesError {
  return new KubernetesError({
    code: 'kubernetes.unknown-kind',
    what: `The cluster has no kind ${JSON.stringify(kind)} in ${JSON.stringify(apiVersion)}.`,
    fix: 'Correct `apiVersion` and `kind` in the manifest, or install in the cluster what defines them.',
  });
}
