import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { git } from './git.ts';
import { type ObjectFormat, oidOf, packOf, type PackedObject, storePack } from './pack.ts';

/** Lengths around those where the length itself takes another byte. */
const bytes = fc
  .oneof(fc.constantFrom(0, 15, 16, 2_047, 2_048, 262_143, 262_144), fc.nat(5_000))
  .chain((length) =>
    fc.uint8Array({ minLength: Math.min(length, 64), maxLength: 64 }).map((some) => repeated(some, length)),
  );

test.each(['sha1', 'sha256'] as const)('git reads from a pack of %s what was put in, under its id', async (format) => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(bytes, { minLength: 1, maxLength: 12, selector: String }), async (blobs) => {
      await inRepository(format, async (gitDir) => {
        const objects = byId(
          format,
          blobs.map((blob) => ({ type: 'blob' as const, bytes: blob })),
        );
        await storePack(gitDir, await packOf(format, objects));
        for (const [oid, object] of objects) {
          const { stdout } = await git(['cat-file', 'blob', oid], { gitDir, directories: [gitDir] });
          expect(stdout.equals(object.bytes)).toBe(true);
        }
      });
    }),
    cases(10),
  );
});

test.each(['sha1', 'sha256'] as const)(
  'a folder of %s that is like another is read whole, also where that is not in the pack',
  async (format) => {
    const length = format === 'sha1' ? 20 : 32;
    await fc.assert(
      fc.asyncProperty(bytes, fc.nat(), fc.nat(), fc.boolean(), async (some, one, other, isThin) => {
        await inRepository(format, async (gitDir) => {
          const first = { type: 'blob' as const, bytes: Buffer.concat([some, Buffer.alloc(length, 1)]) };
          const chain: PackedObject[] = [first];
          for (const at of [one, other].map((number) => number % (some.length + 1))) {
            const before = chain.at(-1) ?? first;
            const now = Buffer.from(before.bytes);
            now.fill(chain.length + 1, at, at + length);
            chain.push({ type: 'blob', bytes: now, like: { oid: oidOf(format, before), at, length } });
          }
          if (isThin) await storePack(gitDir, await packOf(format, byId(format, [first])));
          await storePack(gitDir, await packOf(format, byId(format, isThin ? chain.slice(1) : chain)));
          for (const object of chain) {
            const { stdout } = await git(['cat-file', 'blob', oidOf(format, object)], {
              gitDir,
              directories: [gitDir],
            });
            expect(stdout.equals(object.bytes)).toBe(true);
          }
        });
      }),
      cases(10),
    );
  },
);

test('what changes back is like what is like it, two hundred times, and git reads each', async () => {
  await inRepository('sha1', async (gitDir) => {
    const states = Array.from({ length: 200 }, (_, at) => ({
      type: 'blob' as const,
      bytes: Buffer.concat([Buffer.alloc(3_000, 7), Buffer.alloc(20, at)]),
    }));
    const ids = states.map((state) => oidOf('sha1', state));
    const liked = states.map((state, at): [string, PackedObject] => [
      ids[at] ?? '',
      { ...state, like: { oid: ids.at(at - 1) ?? '', at: 3_000, length: 20 } }, // the first is like the last
    ]);
    await storePack(gitDir, await packOf('sha1', new Map(liked)));
    for (const [at, id] of ids.entries()) {
      const { stdout } = await git(['cat-file', 'blob', id], { gitDir, directories: [gitDir] });
      expect(stdout.equals(states[at]?.bytes ?? Buffer.alloc(0))).toBe(true);
    }
  });
});

function byId(format: ObjectFormat, objects: readonly PackedObject[]): ReadonlyMap<string, PackedObject> {
  return new Map(objects.map((object) => [oidOf(format, object), object]));
}

function repeated(some: Uint8Array, length: number): Buffer {
  return some.length === 0 ? Buffer.alloc(length) : Buffer.alloc(length, some);
}

async function inRepository(format: ObjectFormat, work: (gitDir: string) => Promise<void>): Promise<void> {
  const gitDir = await mkdtemp(join(tmpdir(), 'towpath-pack-'));
  try {
    await git(['init', '--quiet', '--bare', `--object-format=${format}`, '--end-of-options', gitDir], {
      directories: [gitDir],
    });
    await work(gitDir);
  } finally {
    await rm(gitDir, { recursive: true, force: true });
  }
}
