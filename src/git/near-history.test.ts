import fc from 'fast-check';
import { expect, test } from 'vitest';

import { isNear } from './near-history.ts';
import type { GitObject } from './object-reader.ts';

/** Commit -> its parents, each older than itself. */
type History = ReadonlyMap<string, readonly string[]>;

const histories = fc
  .array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 100 })
  .map(
    (all): History =>
      new Map(all.map((picks, at) => [nameOf(at), at === 0 ? [] : picks.map((pick) => nameOf(pick % at))])),
  );

test('what is said of an ancestor is so, however much of a history is at hand', async () => {
  await fc.assert(
    fc.asyncProperty(
      histories,
      fc.nat(),
      fc.nat(),
      fc.nat(),
      fc.array(fc.nat({ max: 99 }), { maxLength: 2 }),
      async (history, a, d, u, away) => {
        const [ancestor = '', descendant = ''] = [a, d].map((pick) => nameOf(pick % history.size));
        const behind = [...ancestorsOf(history, ancestor)].filter((oid) => oid !== ancestor);
        const upon = behind[u % behind.length];
        const at = async (oid: string): Promise<GitObject | null> =>
          away.some((index) => nameOf(index) === oid) ? null : commitOf(history.get(oid));
        const said = await isNear(ancestor, descendant, at, upon);
        if (said !== null) expect(said).toBe(ancestorsOf(history, descendant).has(ancestor));
      },
    ),
    { numRuns: 1000 },
  );
});

test('of a commit beside ours upon a long history it is known that ours is not in it', async () => {
  const line = Array.from({ length: 1000 }, (_, at): [string, string[]] => [
    nameOf(at),
    at === 0 ? [] : [nameOf(at - 1)],
  ]);
  const history = new Map([...line, [nameOf(1000), [nameOf(999)]], [nameOf(1001), [nameOf(999)]]] as const);
  let reads = 0;
  const at = async (oid: string): Promise<GitObject | null> => {
    reads += 1;
    return commitOf(history.get(oid));
  };
  expect(await isNear(nameOf(1000), nameOf(1001), at)).toBeNull();
  reads = 0;
  expect(await isNear(nameOf(1000), nameOf(1001), at, nameOf(999))).toBe(false);
  expect(reads).toBe(1);
});

function nameOf(at: number): string {
  return at.toString(16).padStart(40, '0');
}

function commitOf(parents: readonly string[] | undefined): GitObject | null {
  if (parents === undefined) return null;
  const head = ['tree 1', ...parents.map((parent) => `parent ${parent}`), 'author A'].join('\n');
  return { type: 'commit', bytes: Buffer.from(`${head}\n\nparent of all\n`) };
}

function ancestorsOf(history: History, oid: string): ReadonlySet<string> {
  const seen = new Set([oid]);
  for (const one of seen) for (const parent of history.get(one) ?? []) seen.add(parent);
  return seen;
}
