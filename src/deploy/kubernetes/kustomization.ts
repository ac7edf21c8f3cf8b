import { posix } from 'node:path';

import { parse } from 'yaml';

import { notManifest, outside } from './deployment-error.ts';
import { LIMITS } from './limits.ts';

const NAMES = new Set(['kustomization.yaml', 'kustomization.yml', 'Kustomization']);
/** What a kustomization takes in whole: files and folders of the repository, or a repository elsewhere. */
const TAKES_IN = ['resources', 'bases', 'components', 'crds', 'configurations'];
/** Where kustomize runs programs, or reads what they wrote. */
const PROGRAMS = ['generators', 'transformers', 'validators', 'helmCharts', 'helmChartInflationGenerator'];

/**
 * Whoever may push a branch wrote a kustomization, and the server reads it: so it takes in nothing that is not in the repository.
 * @throws DeployError `kubernetes.outside`, `kubernetes.not-manifest`
 */
export function refuseRemote(files: ReadonlyMap<string, Uint8Array>): void {
  for (const [file, bytes] of files) {
    if (!NAMES.has(posix.basename(file))) continue;
    const content = valueOf(bytes, file);
    const program = PROGRAMS.find((key) => heldBy(content, key).length > 0);
    if (program !== undefined) throw outside(`\`${program}\` in ${file}`, 'which makes kustomize run other programs');
    for (const key of TAKES_IN) {
      for (const entry of textsIn(heldBy(content, key)))
        if (!isThere(files, file, entry))
          throw outside(
            `${JSON.stringify(entry)} in ${file}`,
            'which is not there in the folder that holds the overlay',
          );
    }
    const url = textsIn(content).find((text) => /^[a-z][a-z0-9+.-]*:\/\//i.test(text.trim()));
    if (url !== undefined) throw outside(`${JSON.stringify(url)} in ${file}`, 'an address');
  }
}

/** Programs in Go read a key in any letters, large or small. */
function heldBy(content: Readonly<Record<string, unknown>>, key: string): unknown[] {
  const named = Object.entries(content).filter(([name]) => name.toLowerCase() === key.toLowerCase());
  return named.flatMap(([, value]) => value ?? []);
}

function isThere(files: ReadonlyMap<string, Uint8Array>, file: string, entry: string): boolean {
  const path = posix.normalize(posix.join(posix.dirname(file), entry)).replace(/\/$/, '');
  return files.has(path) || [...files.keys()].some((name) => name.startsWith(`${path}/`));
}

/** All texts below a value, without those that are no paths. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, held]) =>
    /annotations|labels|literals|images/i.test(key) ? [] : textsIn(held),
  );
}

function valueOf(bytes: Uint8Array, file: string): Record<string, unknown> {
  try {
    const value = parse(Buffer.from(bytes).toString('utf8'), {
      version: '1.1', // as kustomize reads it, which knows `<<`
      merge: true,
      maxAliasCount: LIMITS.aliases,
      logLevel: 'silent',
    }) as unknown;
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // said below
  }
  throw notManifest(file, 'it is not YAML');
}
