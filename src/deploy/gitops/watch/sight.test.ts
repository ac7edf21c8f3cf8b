import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { oneLine, type Sight, type Standing, verdictOf } from './sight.ts';

const OURS = sha256('ours');
const anyStanding = fc.constantFrom<Standing>('holds', 'before', 'overwritten');
const anySight = fc.record({
  looked: fc.boolean(),
  told: fc.array(anyStanding, { maxLength: 3 }),
  hasRevisions: fc.boolean(),
  state: fc.constantFrom('good', 'coming', 'bad'),
  images: fc.subarray([`shop/web@${OURS}`, `shop/web@${sha256('others')}`, 'shop/web:v1']),
});

function sightOf({ hasRevisions, told, ...rest }: typeof anySight extends fc.Arbitrary<infer T> ? T : never): Sight {
  return { ...rest, says: 'Synced', revisions: hasRevisions ? told.map((_one, index) => `${index}`.repeat(40)) : null };
}

test('good is only what looked at a commit that holds our images, says so, and shows them', () => {
  fc.assert(
    fc.property(anySight, (any) => {
      const standings = any.hasRevisions ? any.told : [];
      const verdict = verdictOf(sightOf(any), standings, [OURS]);
      const isGood =
        any.looked &&
        any.state === 'good' &&
        (!any.hasRevisions || (standings.includes('holds') && !standings.includes('overwritten'))) &&
        any.images.includes(`shop/web@${OURS}`);
      expect(verdict.kind === 'good').toBe(isGood);
    }),
  );
});

test('what is bad at another commit is not ours, and what has not looked yet is nothing', () => {
  fc.assert(
    fc.property(anySight, (any) => {
      const standings = any.hasRevisions ? any.told : [];
      const { kind } = verdictOf(sightOf({ ...any, state: 'bad' }), standings, [OURS]);
      const namesOthersOnly = any.hasRevisions && standings.length > 0 && !standings.includes('holds');
      if (!any.looked) expect(kind).toBe('unseen');
      else if (namesOthersOnly) expect(kind).not.toBe('bad');
      else if (!standings.includes('overwritten')) expect(kind).toBe('bad');
    }),
  );
});

test('what programs say is put on one line that people read to its end', () => {
  expect(oneLine(' one\n\ttwo\u0007three ')).toBe('one two three');
  expect(oneLine('x'.repeat(5000)).length).toBeLessThan(700);
});
