import { Readable } from 'node:stream';

import { pack } from 'tar-stream';

import type { SourceTree, TreeEntry } from '../../../git/tree.ts';
import { ArtifactError } from '../../artifact-error.ts';
import { parseIgnore } from './ignore.ts';

const IGNORE_FILE = '.dockerignore';
const LFS_POINTER = 'version https://git-lfs';

/** What the build sees: all that `.dockerignore` lets through, and the Dockerfile, without which there is no build. */
export async function contextOf(source: SourceTree, dockerfile: string): Promise<SourceTree> {
  const ignoreFile = source.entries.find(({ path }) => path === IGNORE_FILE);
  const ignores = parseIgnore(ignoreFile === undefined ? '' : (await source.read(ignoreFile.oid)).toString('utf8'));
  const entries = source.entries.filter(({ path }) => path === dockerfile || !ignores(path));
  return { entries, read: (oid) => source.read(oid), prefetch: (oids) => source.prefetch(oids) };
}

/** @throws ArtifactError `artifact.dockerfile-missing` */
export async function readDockerfile(source: SourceTree, dockerfile: string): Promise<string> {
  const entry = source.entries.find(({ path }) => path === dockerfile);
  if (entry !== undefined && entry.mode !== '120000') return (await source.read(entry.oid)).toString('utf8');
  throw new ArtifactError({
    code: 'artifact.dockerfile-missing',
    what: `The service has no file "${dockerfile}"${entry === undefined ? '' : ' of its own: it is a symbolic link'}.`,
    fix: 'Add it, or name another one: `build: { dockerfile: { file: ... } }`; its path begins at the folder of the service.',
  });
}

/**
 * The context as a tar stream, straight from git objects, one file in memory at a time.
 * @param replaced path -> text that is sent in place of the file's own
 * @throws ArtifactError for what would not arrive as it was meant: submodules and LFS pointers (while the stream is read)
 */
export function packContext(context: SourceTree, replaced: ReadonlyMap<string, string>): Readable {
  const archive = pack();
  const closed = new Promise<never>((_, reject) => {
    archive.once('close', () => reject(new Error('The context was not read to its end.')));
  });
  closed.catch(() => undefined); // at the proper end nobody waits for it any more
  const fill = async (): Promise<void> => {
    context.entries.forEach(refuseSubmodule);
    await context.prefetch(context.entries.map(({ oid }) => oid));
    for (const entry of context.entries) {
      const text = replaced.get(entry.path);
      const bytes = text === undefined ? await context.read(entry.oid) : Buffer.from(text);
      await Promise.race([append(archive, entry, bytes), closed]);
    }
    archive.finalize();
  };
  fill().catch((error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(archive);
}

function append(archive: ReturnType<typeof pack>, { path, mode }: TreeEntry, bytes: Buffer): Promise<void> {
  const mtime = new Date(0);
  if (mode !== '120000') refuseLfsPointer(path, bytes);
  const [header, body] =
    mode === '120000'
      ? [{ name: path, type: 'symlink' as const, linkname: bytes.toString('utf8'), mtime }, undefined]
      : [{ name: path, mode: mode === '100755' ? 0o755 : 0o644, mtime }, bytes];
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => (error === undefined || error === null ? resolve() : reject(error));
    if (body === undefined) archive.entry(header, done);
    else archive.entry(header, body, done);
  });
}

function refuseSubmodule({ path, mode }: TreeEntry): void {
  if (mode !== '160000') return;
  throw new ArtifactError({
    code: 'artifact.submodule',
    what: `${path} is a submodule; its files are not in this repository.`,
    fix: 'Bring the files into the repository, or name the folder in .dockerignore.',
  });
}

function refuseLfsPointer(path: string, body: Buffer): void {
  if (body.length >= 1024 || body.toString('latin1', 0, LFS_POINTER.length) !== LFS_POINTER) return;
  throw new ArtifactError({
    code: 'artifact.lfs-pointer',
    what: `${path} is a pointer of Git LFS, not the file itself.`,
    fix: 'Keep the file in git itself, or name it in .dockerignore and fetch it at run time.',
  });
}
