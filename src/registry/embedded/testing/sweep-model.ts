import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import fc from 'fast-check';

import { sha256 } from '../../../lib/digest.ts';
import type { Digest } from '../../../lib/digest.ts';
import { testImage, testIndex, testReferrer } from '../../testing/images.ts';
import type { TestImage } from '../../testing/images.ts';
import { createEmbeddedRegistry } from '../embedded.ts';
import { A_DAY_AGO, age } from './age.ts';

const REPOSITORIES = ['one/app', 'two/app'] as const;
const TAGS = ['v1', 'v2'] as const;
const MANIFESTS = ['first', 'second', 'index', 'about', 'about-about'] as const;
type Name = (typeof MANIFESTS)[number];
type Place = (typeof REPOSITORIES)[number];

const place = fc.constantFrom(...REPOSITORIES);
const name = fc.constantFrom(...MANIFESTS);
const tag = fc.constantFrom(...TAGS);

/** What may happen to a registry; `age` makes all that it holds older than the time of grace. */
export const operation = fc.oneof(
  fc.record({ kind: fc.constant('push' as const), place, name, tag: fc.option(tag) }),
  fc.record({ kind: fc.constant('blob' as const), place, name }),
  fc.record({ kind: fc.constant('ask' as const), place, name }),
  fc.record({ kind: fc.constant('mount' as const), place, name }),
  fc.record({ kind: fc.constant('tag' as const), place, name, tag }),
  fc.record({ kind: fc.constant('untag' as const), place, tag }),
  fc.record({ kind: fc.constant('delete' as const), place, name }),
  fc.record({ kind: fc.constant('age' as const) }),
  fc.record({ kind: fc.constant('sweep' as const), kept: fc.array(fc.record({ place, name }), { maxLength: 2 }) }),
);

export type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

interface Manifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly blobs: readonly Buffer[];
  readonly children: readonly Name[];
  readonly subject: Name | null;
}

/** A registry on a folder beside a plain account of what it must hold: each file with whether it was used since it aged. */
export async function modelOf(directory: string) {
  const manifests = await universe();
  const embedded = await createEmbeddedRegistry({ directory, host: 'registry.test' });
  const registry = embedded.registry();
  /** `blobs <digest>`, `<place> _manifests <digest>`, ... -> fresh. */
  const files = new Map<string, boolean>();
  const tags = new Map<string, Name>();

  const use = (...names: readonly string[]) => {
    for (const one of names) files.set(one, true);
  };
  const holds = (where: Place, one: Name) => files.has(`${where} _manifests ${manifests[one].digest}`);
  const useBlob = (where: Place, bytes: Buffer) => use(`blobs ${sha256(bytes)}`, `${where} _blobs ${sha256(bytes)}`);

  /** Everything that belongs to a manifest that is held, as a push, a name or a question takes it into use. */
  function useAll(where: Place, one: Name): void {
    if (!holds(where, one)) return;
    const { digest, blobs, children } = manifests[one];
    use(`blobs ${digest}`, `${where} _manifests ${digest}`);
    for (const blob of blobs) if (files.has(`${where} _blobs ${sha256(blob)}`)) useBlob(where, blob);
    for (const child of children) useAll(where, child);
    for (const other of MANIFESTS) {
      const entry = `${where} _referrers ${digest} ${manifests[other].digest}`;
      if (manifests[other].subject !== one || !files.has(entry)) continue;
      use(entry);
      useAll(where, other);
    }
  }

  async function push(where: Place, one: Name, as: string | null): Promise<void> {
    const { digest, mediaType, bytes, blobs, children, subject } = manifests[one];
    for (const child of children) await push(where, child, null);
    for (const blob of blobs) {
      await registry.writeBlob(where, { digest: sha256(blob), size: blob.length, open: () => blob });
      useBlob(where, blob);
    }
    await registry.putManifest(where, as ?? digest, { mediaType, bytes });
    use(`blobs ${digest}`, `${where} _manifests ${digest}`);
    if (subject !== null) use(`${where} _referrers ${manifests[subject].digest} ${digest}`);
    useAll(where, one);
    if (as !== null) tags.set(`${where} ${as}`, one);
  }

  function isWhole(where: Place, one: Name): boolean {
    const { blobs, children } = manifests[one];
    return (
      holds(where, one) &&
      blobs.every((blob) => files.has(`${where} _blobs ${sha256(blob)}`)) &&
      children.every((child) => isWhole(where, child))
    );
  }

  async function apply(one: Operation): Promise<void> {
    switch (one.kind) {
      case 'push':
        return push(one.place, one.name, one.tag);
      case 'blob': {
        const [blob = Buffer.alloc(0)] = manifests[one.name].blobs;
        await registry.writeBlob(one.place, { digest: sha256(blob), size: blob.length, open: () => blob });
        return useBlob(one.place, blob);
      }
      case 'ask':
        await registry.manifest(one.place, manifests[one.name].digest);
        return useAll(one.place, one.name);
      case 'mount': {
        const [blob = Buffer.alloc(0)] = manifests[one.name].blobs;
        const from = one.place === 'one/app' ? 'two/app' : 'one/app';
        if (!(await registry.mountBlob(one.place, sha256(blob), from))) return;
        useBlob(from, blob);
        return useBlob(one.place, blob);
      }
      case 'tag': {
        const done = await registry.tag(one.place, manifests[one.name].digest, one.tag).catch(() => null);
        useAll(one.place, one.name);
        if ((done !== null) !== isWhole(one.place, one.name)) throw new Error('It is whole, or it is not.');
        if (done !== null) tags.set(`${one.place} ${one.tag}`, one.name);
        return;
      }
      case 'untag':
        await registry.deleteManifest(one.place, one.tag);
        tags.delete(`${one.place} ${one.tag}`);
        return;
      case 'delete': {
        const { digest, subject } = manifests[one.name];
        if (!holds(one.place, one.name)) return;
        await registry.deleteManifest(one.place, digest);
        files.delete(`${one.place} _manifests ${digest}`);
        if (subject !== null) files.delete(`${one.place} _referrers ${manifests[subject].digest} ${digest}`);
        for (const [key, value] of tags) if (key.startsWith(one.place) && value === one.name) tags.delete(key);
        return;
      }
      case 'age':
        await age(directory);
        for (const key of files.keys()) files.set(key, false);
        return;
      case 'sweep': {
        const kept = one.kept.map((its) => ({ repository: its.place, digest: manifests[its.name].digest }));
        await embedded.sweepContent({ kept: listed(kept), beforeMs: A_DAY_AGO() });
        for (const where of REPOSITORIES)
          for (const as of TAGS) {
            const named = tags.get(`${where} ${as}`);
            if (named !== undefined) useAll(where, named);
          }
        for (const its of one.kept) useAll(its.place, its.name);
        for (const [key, fresh] of files) if (!fresh) files.delete(key);
        return;
      }
      default:
        return one satisfies never;
    }
  }

  return {
    apply,
    expected: () => [...files.keys()].sort(),
    onDisk: async () => {
      const found: string[] = [];
      for (const file of await filesIn(join(directory, 'blobs'))) found.push(`blobs sha256:${file.split('/').at(-1)}`);
      for (const where of REPOSITORIES)
        for (const folder of ['_manifests', '_blobs', '_referrers'])
          for (const file of await filesIn(join(directory, 'repositories', where, folder))) {
            const digests = file.replace('sha256-', 'sha256/').match(/[0-9a-f]{64}/g) ?? [];
            found.push(`${where} ${folder} ${digests.map((hex) => `sha256:${hex}`).join(' ')}`);
          }
      return found.sort();
    },
  };
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function* listed<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** Two images with a layer in common, an index of both, a statement about the first, and one about that. */
async function universe(): Promise<Record<Name, Manifest>> {
  const [first, second] = [
    await testImage([{ base: 'base' }, { own: 'first' }]),
    await testImage([{ base: 'base' }, { own: 'second' }]),
  ];
  const image = (its: TestImage): Manifest => ({
    ...its,
    blobs: [its.config, ...its.layers],
    children: [],
    subject: null,
  });
  const statement = (about: TestImage, subject: Name): Manifest => {
    const { mediaType, bytes } = testReferrer(about, 'application/vnd.towpath.test', subject);
    return { digest: sha256(bytes), mediaType, bytes, blobs: [Buffer.from('{}')], children: [], subject };
  };
  const about = statement(first, 'first');
  return {
    first: image(first),
    second: image(second),
    index: { ...testIndex([first, second]), blobs: [], children: ['first', 'second'], subject: null },
    about,
    'about-about': statement({ ...first, ...about, layers: [] }, 'about'),
  };
}
