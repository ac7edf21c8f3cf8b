import { parseAllDocuments } from 'yaml';

import type { Desired, SourceFiles } from '../driver.ts';
import type { KubernetesConfig } from './config.ts';
import { noFile, noSource, notManifest } from './deployment-error.ts';
import { LIMITS } from './limits.ts';
import { Manifest } from './manifest.ts';
import type { Renderer } from './render.ts';

/**
 * What the repository says is to be applied, at the commit of the release.
 * @returns null where it has no say: then it is made from towpath.yaml
 * @throws DeployError `kubernetes.*`
 */
export async function readManifests(
  { config, source }: Pick<Desired<KubernetesConfig>, 'config' | 'source'>,
  render: Renderer,
  options: { readonly namespace: string; readonly signal: AbortSignal },
): Promise<Manifest[] | null> {
  const { manifests, kustomize, helm } = config;
  if (manifests === undefined && kustomize === undefined && helm === undefined) return null;
  if (source === undefined) throw noSource();
  if (kustomize !== undefined)
    return objectsIn(await render.kustomize(source, kustomize, options), `the overlay ${kustomize}`);
  if (helm !== undefined) return objectsIn(await render.helm(source, helm, options), `the chart ${helm.chart}`);
  const files = (await Promise.all((manifests ?? []).map((path) => filesAt(source, path)))).flat();
  if (files.length > LIMITS.files) throw notManifest((manifests ?? []).join(', '), `more than ${LIMITS.files} files`);
  const objects: Manifest[] = [];
  for (const file of files) {
    const bytes = await source.file(file, LIMITS.fileBytes);
    if (bytes === null) throw noFile(file);
    objects.push(...objectsIn(textOf(bytes, file), file));
  }
  return limited(objects, (manifests ?? []).join(', '));
}

/** The objects of a text with several documents; those of lists stand for themselves. @throws DeployError `kubernetes.not-manifest` */
export function objectsIn(text: string, file: string): Manifest[] {
  return limited(
    valuesIn(text, file).flatMap((value) => objectsOf(value, file)),
    file,
  );
}

function limited(objects: Manifest[], file: string): Manifest[] {
  if (objects.length === 0) throw notManifest(file, 'there is no object in it');
  if (objects.length > LIMITS.objects) throw notManifest(file, `there are more than ${LIMITS.objects} objects in it`);
  return objects;
}

async function filesAt(source: SourceFiles, path: string): Promise<string[]> {
  if (/\.(?:ya?ml|json)$/.test(path)) return [path];
  const below = (await source.list(path)).filter((name) => /\.(?:ya?ml|json)$/.test(name)).toSorted();
  if (below.length === 0) throw noFile(path);
  return below.map((name) => (path === '.' ? name : `${path}/${name}`));
}

function valuesIn(text: string, file: string): unknown[] {
  try {
    const documents = parseAllDocuments(text, { version: '1.1', merge: true, prettyErrors: false, logLevel: 'silent' });
    if ('empty' in documents) return [];
    return documents.map((document) => {
      const [problem] = document.errors;
      if (problem !== undefined) {
        const line = text.slice(0, problem.pos[0]).split('\n').length;
        throw notManifest(file, `line ${line}: ${(problem.message.split('\n')[0] ?? '').slice(0, 200)}`);
      }
      return document.toJS({ maxAliasCount: LIMITS.aliases }) as unknown;
    });
  } catch (error) {
    if (error instanceof RangeError) throw notManifest(file, 'it is nested too deep');
    if (error instanceof ReferenceError) throw notManifest(file, 'its aliases name nothing, or too much');
    throw error;
  }
}

function objectsOf(value: unknown, file: string): Manifest[] {
  if (value === null || value === undefined) return [];
  if (isList(value)) return value.items.flatMap((item) => objectsOf(item, file));
  const manifest = Manifest.safeParse(value);
  if (manifest.success) return [manifest.data];
  throw notManifest(
    file,
    `\`${manifest.error.issues[0]?.path.join('.') ?? ''}\` of an object in it is not what it should be`,
  );
}

function isList(value: unknown): value is { readonly items: readonly unknown[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    typeof value.kind === 'string' &&
    value.kind.endsWith('List') &&
    'items' in value &&
    Array.isArray(value.items)
  );
}

function textOf(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw notManifest(file, 'it is not UTF-8');
  }
}
