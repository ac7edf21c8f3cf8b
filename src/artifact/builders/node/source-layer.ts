import type { SourceTree, TreeEntry } from '../../../git/tree.ts';
import type { LogLine } from '../../../lib/log.ts';
import { pathFilter } from '../../../source/path-filter.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { LayerItem } from '../../oci/layer.ts';
import type { NodeDefinition } from './definition.ts';

/** What npm reads; it goes into the key whatever the filters say. */
const NPM_FILES = new Set(['package.json', 'package-lock.json', 'npm-shrinkwrap.json', '.npmrc']);

const LFS_POINTER = 'version https://git-lfs';

/** The entries that matter for the artifact: one filter for the key and for what is built. */
export function filterSource(definition: Pick<NodeDefinition, 'include' | 'exclude'>, source: SourceTree): SourceTree {
  const { include, exclude } = definition;
  const accepts = pathFilter({ include: include.length === 0 ? ['.'] : include, exclude });
  const entries = source.entries.filter(({ path }) => {
    if (path === 'node_modules' || path.startsWith('node_modules/')) return false; // npm ci would delete it
    return isNpmFile(path) || accepts(path);
  });
  return { entries, read: (oid) => source.read(oid), prefetch: (oids) => source.prefetch(oids) };
}

export function isNpmFile(path: string): boolean {
  return NPM_FILES.has(path);
}

/**
 * The service's files as a layer below `prefix` (at its root where that is empty). Symbolic links are data and are never followed. `.npmrc` stays out:
 * it is for fetching, and may hold a token.
 * @throws ArtifactError for what would not arrive as it was meant: submodules, LFS pointers, names of whiteouts
 */
export async function sourceItems(source: SourceTree, prefix: string, log: LogLine): Promise<LayerItem[]> {
  const entries = source.entries.filter(({ path }) => path !== '.npmrc');
  for (const entry of entries) refuseWhatCannotBeShipped(entry);
  warnOfCase(entries, log);
  await source.prefetch(entries.map(({ oid }) => oid));
  return Promise.all(
    entries.map(async ({ path, mode, oid }): Promise<LayerItem> => {
      const whole = prefix === '' ? path : `${prefix}/${path}`;
      if (mode === '120000') return { kind: 'symlink', path: whole, target: (await source.read(oid)).toString('utf8') };
      return { kind: 'file', path: whole, executable: mode === '100755', read: () => readBlob(source, oid, path) };
    }),
  );
}

async function readBlob(source: SourceTree, oid: string, path: string): Promise<Buffer> {
  const body = await source.read(oid);
  if (body.length < 1024 && body.toString('latin1', 0, LFS_POINTER.length) === LFS_POINTER)
    throw new ArtifactError({
      code: 'artifact.lfs-pointer',
      what: `${path} is a pointer of Git LFS, not the file itself.`,
      fix: 'Keep the file in git itself, or exclude it from the build and fetch it at run time.',
    });
  return body;
}

function refuseWhatCannotBeShipped({ path, mode }: TreeEntry): void {
  if (mode === '160000')
    throw new ArtifactError({
      code: 'artifact.submodule',
      what: `${path} is a submodule; its files are not in this repository.`,
      fix: 'Bring the files into the repository, or exclude the folder from the build.',
    });
  if (path.split('/').some((part) => part.startsWith('.wh.')))
    throw new ArtifactError({
      code: 'artifact.whiteout-name',
      what: `The name ${path} means "deleted" in an image layer, so the file would not arrive.`,
      fix: 'Rename it so that no part of its path begins with ".wh.".',
    });
}

function warnOfCase(entries: readonly TreeEntry[], log: LogLine): void {
  const seen = new Map<string, string>();
  for (const { path } of entries) {
    const folded = path.toLowerCase();
    const other = seen.get(folded);
    if (other !== undefined)
      log(`warning: ${other} and ${path} differ in case only; macOS and Windows keep one of them`);
    seen.set(folded, path);
  }
}
