import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { GitRef } from '../git/ref.ts';
import { moveKey, planRefChanges } from './ref-change.ts';

const anyOid = fc.constantFrom('1', '2', '3').map((digit) => digit.repeat(40));
const anyRefs = fc
  .uniqueArray(
    fc.record({
      name: fc.constantFrom('refs/heads/main', 'refs/heads/a', 'refs/heads/a/b', 'refs/tags/v1', 'refs/tags/v2'),
      oid: anyOid,
      commit: anyOid,
    }),
    { selector: ({ name }) => name },
  )
  .map((refs): GitRef[] => refs);

test('the plan leads from what was known to what is listed, and once it is followed nothing is left to do', () => {
  fc.assert(
    fc.property(anyRefs, anyRefs, (known, listed) => {
      const { changes, upserts } = planRefChanges(known, listed);
      const rows = new Map(known.map((ref) => [ref.name, ref]));
      for (const ref of upserts) rows.set(ref.name, ref);
      for (const { kind, ref } of changes) if (kind === 'deleted') rows.delete(ref);
      const after = [...rows.values()];
      expect(after.toSorted(byName)).toEqual(listed.toSorted(byName));
      expect(planRefChanges(after, listed)).toEqual({ changes: [], upserts: [] });
    }),
  );
});

test('the order in which a server lists its refs changes nothing', () => {
  fc.assert(
    fc.property(anyRefs, anyRefs, (known, listed) => {
      const forward = planRefChanges(known, listed).changes;
      const backward = planRefChanges(known.toReversed(), listed.toReversed()).changes;
      const text = (changes: typeof forward) => changes.map((change) => JSON.stringify(change)).sort();
      expect(text(backward)).toEqual(text(forward));
    }),
  );
});

test('a move is forced only for a branch, and only where history says so', () => {
  const [one, two] = ['1'.repeat(40), '2'.repeat(40)];
  const known = ['refs/heads/main', 'refs/tags/v1'].map((name) => ({ name, oid: one, commit: one }));
  const listed = known.map(({ name }) => ({ name, oid: two, commit: two }));
  const kinds = (forced: ReadonlySet<string>) => planRefChanges(known, listed, forced).changes.map(({ kind }) => kind);
  expect(kinds(new Set())).toEqual(['moved', 'moved']);
  expect(kinds(new Set([moveKey(one, two)]))).toEqual(['forced', 'moved']);
  expect(kinds(new Set([moveKey(two, one)]))).toEqual(['moved', 'moved']);
});

function byName(one: GitRef, other: GitRef): number {
  return one.name < other.name ? -1 : 1;
}
