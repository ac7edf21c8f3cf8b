import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { sha256Hex } from '../../lib/digest.ts';
import { each } from '../../lib/each.ts';
import { readWhole, statOf } from '../../lib/files.ts';
import type { Swept } from '../content.ts';
import { RegistryError } from '../error.ts';
import { isContentDigest, pathOf } from './content-digest.ts';
import type { ContentDigest } from './content-digest.ts';
import { isAbsent } from './durable-file.ts';
import type { DurableFiles } from './durable-file.ts';
import { AT_ONCE } from './limbo.ts';
import type { Limbo } from './limbo.ts';
import { inLexicalOrder } from './pages.ts';
import { smallFiles } from './small-files.ts';

/**
 * What the repositories hold, as small files, so that several processes of a machine may share the folder without a lock:
 * `<repository>/_blobs/<digest>` (empty), `_manifests/<digest>` (its media type), `_tags/<tag>` (its digest) and
 * `_referrers/<subject>/<digest>` (its descriptor). A part of a repository's name never begins with `_`.
 * All but the tags go when nobody has taken them into use for long: a question whether they are there does so.
 */
export interface RepositoryStore {
  hasBlob(repository: string, digest: ContentDigest): Promise<boolean>;
  addBlob(repository: string, digest: ContentDigest): Promise<void>;
  removeBlob(repository: string, digest: ContentDigest): Promise<boolean>;
  /** @returns the media type, or null when the repository does not hold the manifest */
  manifestType(repository: string, digest: ContentDigest): Promise<string | null>;
  addManifest(repository: string, digest: ContentDigest, mediaType: string): Promise<void>;
  removeManifest(repository: string, digest: ContentDigest): Promise<boolean>;
  tag(repository: string, tag: string): Promise<ContentDigest | null>;
  /**
   * Points a tag at a digest. With `fixed` the first writer wins, whatever the number of processes. A tag that Towpath
   * gave is its `own` from then on.
   * @throws RegistryError `registry.tag-immutable`
   */
  setTag(
    repository: string,
    tag: string,
    digest: ContentDigest,
    how: { readonly fixed: boolean; readonly own: boolean },
  ): Promise<'tagged' | 'unchanged'>;
  /** Whether Towpath itself gave this tag to this digest. */
  isOwnTag(repository: string, tag: string, digest: ContentDigest): Promise<boolean>;
  removeTag(repository: string, tag: string): Promise<boolean>;
  /** In lexical order. @returns null when there is no such repository */
  tags(repository: string): Promise<string[] | null>;
  /** What the tags name, in no order. */
  tagged(repository: string): Promise<TaggedDigest[]>;
  addReferrer(repository: string, subject: string, digest: ContentDigest, descriptor: object): Promise<void>;
  removeReferrer(repository: string, subject: string, digest: ContentDigest): Promise<void>;
  /** Descriptors as they were added, of manifests that the repository still holds, in the order of their digests. */
  referrers(repository: string, subject: string): Promise<Referrer[]>;
  /** The manifests that a repository holds, without taking them into use. */
  held(repository: string): Promise<{ digest: ContentDigest; usedMs: number }[]>;
  /** Marks for a sweep that a manifest is needed. @returns false when there is none */
  markManifest(repository: string, digest: ContentDigest): Promise<boolean>;
  markBlob(repository: string, digest: ContentDigest): Promise<boolean>;
  /** Whatever referrers speak of. */
  subjects(repository: string): Promise<ReadonlySet<string>>;
  /** All repositories with manifests, in the order of their bytes. */
  repositories(): Promise<string[]>;
  /** Removes what nobody has taken into use since `beforeMs`. Tags, and what they name, are the caller's to take into use. */
  sweep(sweep: NamesSweep): Promise<Swept>;
}

const Referrer = z.looseObject({ mediaType: z.string(), digest: z.string(), artifactType: z.string().optional() });
export type Referrer = z.infer<typeof Referrer>;

export interface NamesSweep {
  readonly beforeMs: number;
  /** Was this name of content marked just now? */
  readonly isMarked: (kind: 'manifest' | 'blob', repository: string, digest: string) => boolean;
  readonly signal?: AbortSignal | undefined;
  readonly moved?: (() => void) | undefined;
}

export type TaggedDigest = Readonly<z.infer<typeof TagFile>>;

const TagFile = z.object({
  tag: z.string(),
  digest: z.templateLiteral([z.enum(['sha256', 'sha512']), ':', z.string()]),
  /** Towpath gave it: nobody else moves or deletes it. */
  own: z.boolean().optional(),
});

export function openRepositoryStore(directory: string, files: DurableFiles, limbo: Limbo): RepositoryStore {
  const at = (repository: string, ...parts: string[]) => join(directory, repository, ...parts);
  const tagAt = (repository: string, tag: string) => at(repository, '_tags', fileNameOf(tag));
  const manifestAt = (repository: string, digest: ContentDigest) => at(repository, '_manifests', pathOf(digest));
  const blobAt = (repository: string, digest: ContentDigest) => at(repository, '_blobs', pathOf(digest));
  const referrerAt = (repository: string, subject: string, digest: string) =>
    at(repository, '_referrers', subject.replace(':', '/'), digest.replace(':', '-'));

  const small = smallFiles();

  async function readTag(path: string): Promise<z.infer<typeof TagFile> | null> {
    const text = await textOf(path);
    return text === null ? null : TagFile.parse(JSON.parse(text));
  }

  async function usedText(path: string): Promise<string | null> {
    const seen = await limbo.use(path);
    return seen && limbo.find(path, async () => (await small.read(path, seen)).toString('utf8'));
  }

  async function namesOf(name: string, isOne: (entries: readonly string[]) => boolean): Promise<string[]> {
    const entries = await namesIn(at(name));
    const below = entries
      .filter((entry) => !entry.startsWith('_'))
      .map((entry) => namesOf(name ? `${name}/${entry}` : entry, isOne));
    return [...(isOne(entries) ? [name] : []), ...(await Promise.all(below)).flat()];
  }

  const store: RepositoryStore = {
    hasBlob: async (repository, digest) => (await limbo.use(blobAt(repository, digest))) !== null,
    addBlob: async (repository, digest) => {
      const path = blobAt(repository, digest);
      while ((await limbo.use(path)) === null) if (await files.create(path, '')) return;
    },
    removeBlob: async (repository, digest) => files.remove(blobAt(repository, digest)),
    manifestType: async (repository, digest) => usedText(manifestAt(repository, digest)),
    addManifest: async (repository, digest, mediaType) => {
      const path = manifestAt(repository, digest);
      if ((await usedText(path)) !== mediaType) await files.write(path, mediaType);
    },
    removeManifest: async (repository, digest) => files.remove(manifestAt(repository, digest)),
    tag: async (repository, tag) => (await readTag(tagAt(repository, tag)))?.digest ?? null,
    setTag: async (repository, tag, digest, { fixed, own }) => {
      const path = tagAt(repository, tag);
      const bytes = JSON.stringify({ tag, digest, ...(own && { own }) } satisfies z.infer<typeof TagFile>);
      const before = await readTag(path);
      if (before?.digest === digest) {
        if (own && !before.own) await files.write(path, bytes);
        return 'unchanged';
      }
      if (before?.own && !own) throw towpathsOwn(repository, tag, before.digest);
      if (!fixed) await files.write(path, bytes);
      else if (before !== null || !(await files.create(path, bytes))) {
        const holder = before?.digest ?? (await readTag(path))?.digest;
        if (holder === digest) return 'unchanged';
        throw immutable(repository, tag, holder ?? 'another digest');
      }
      return 'tagged';
    },
    isOwnTag: async (repository, tag, digest) => {
      const before = await readTag(tagAt(repository, tag));
      return before?.digest === digest && before.own === true;
    },
    removeTag: async (repository, tag) => files.remove(tagAt(repository, tag)),
    tags: async (repository) => {
      const names = await namesIn(at(repository, '_tags'));
      const tags = await Promise.all(
        names.map(async (name) =>
          name.startsWith('++') ? (await readTag(at(repository, '_tags', name)))?.tag : tagOfFileName(name),
        ),
      );
      if (names.length === 0 && !(await exists(at(repository, '_manifests')))) return null;
      return tags.filter((tag) => tag !== undefined).sort(inLexicalOrder);
    },
    tagged: async (repository) => {
      const found: TaggedDigest[] = [];
      await each(await namesIn(at(repository, '_tags')), AT_ONCE, async (name) => {
        const tag = await readTag(at(repository, '_tags', name));
        if (tag !== null) found.push(tag);
      });
      return found;
    },
    addReferrer: async (repository, subject, digest, descriptor) =>
      files.write(referrerAt(repository, subject, digest), JSON.stringify(descriptor)),
    removeReferrer: async (repository, subject, digest) => {
      await files.remove(referrerAt(repository, subject, digest));
    },
    referrers: async (repository, subject) => {
      const folder = at(repository, '_referrers', subject.replace(':', '/'));
      const held = await Promise.all(
        (await namesIn(folder)).sort().map(async (name) => {
          const text = await usedText(join(folder, name));
          const manifest = at(repository, '_manifests', name.replace('-', '/'));
          if (text === null || (await limbo.find(manifest, () => statOf(manifest))) === null) return [];
          return [Referrer.parse(JSON.parse(text))];
        }),
      );
      return held.flat();
    },
    held: async (repository) => {
      const held: { digest: ContentDigest; usedMs: number }[] = [];
      for (const algorithm of await namesIn(at(repository, '_manifests')))
        await each(await namesIn(at(repository, '_manifests', algorithm)), AT_ONCE, async (hex) => {
          const digest = `${algorithm}:${hex}`;
          if (!isContentDigest(digest)) return;
          const path = manifestAt(repository, digest);
          const found = await limbo.find(path, () => statOf(path));
          if (found !== null) held.push({ digest, usedMs: found.mtimeMs });
        });
      return held;
    },
    markManifest: async (repository, digest) => limbo.mark(manifestAt(repository, digest)),
    markBlob: async (repository, digest) => limbo.mark(blobAt(repository, digest)),
    subjects: async (repository) => {
      const subjects = new Set<string>();
      for (const algorithm of await namesIn(at(repository, '_referrers')))
        for (const hex of await namesIn(at(repository, '_referrers', algorithm))) subjects.add(`${algorithm}:${hex}`);
      return subjects;
    },
    repositories: async () => (await namesOf('', (entries) => entries.includes('_manifests'))).sort(),
    sweep: async ({ beforeMs, isMarked, signal, moved }) => {
      const swept = { files: 0, bytes: 0 };
      for (const repository of await namesOf('', (entries) => entries.some((entry) => entry.startsWith('_')))) {
        const folders = {
          _manifests: (digest: string) => isMarked('manifest', repository, digest),
          _referrers: undefined,
          _blobs: (digest: string) => isMarked('blob', repository, digest),
        };
        for (const [folder, marked] of Object.entries(folders)) {
          const retiring = { beforeMs, signal, moved, ...(marked && { isMarked: marked }) };
          const { files: count, bytes } = await limbo.retireBelow(at(repository, folder), retiring);
          swept.files += count;
          swept.bytes += bytes;
        }
      }
      return swept;
    },
  };
  return store;
}

/** A tag as a file name that stays its own where the file system does not tell `V1` from `v1` (macOS). */
function fileNameOf(tag: string): string {
  const name = tag.replace(/[A-Z]/g, (letter) => `+${letter.toLowerCase()}`);
  return name.length <= 200 ? name : `++${sha256Hex(tag)}`;
}

function tagOfFileName(name: string): string {
  return name.replace(/\+([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

async function exists(path: string): Promise<boolean> {
  try {
    await statOf(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

async function textOf(path: string): Promise<string | null> {
  try {
    return (await readWhole(path)).toString('utf8');
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

function towpathsOwn(repository: string, tag: string, holder: string): RegistryError {
  return new RegistryError({
    code: 'registry.tag-immutable',
    what: `Towpath itself gave ${holder} of ${repository} the tag "${tag}".`,
    fix: 'Push under another tag. Tags of branches, commits, git tags and environments are moved by Towpath alone.',
  });
}

function immutable(repository: string, tag: string, holder: string): RegistryError {
  return new RegistryError({
    code: 'registry.tag-immutable',
    what: `The tag "${tag}" of ${repository} names ${holder} and may not move.`,
    fix: 'Use another tag. A git tag that moved after its promotion is a mistake to be cleared up in git.',
  });
}
