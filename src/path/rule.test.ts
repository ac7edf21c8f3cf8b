import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { decideGate } from './gates.ts';
import { faultOf, holds, namesFor } from './rule.ts';
import { anyFacts, factsOf } from './testing/facts.ts';

const OURS = 'authors.all(a, a.email.endsWith("@shop.example"))';

function decide(rule: string, facts = factsOf()) {
  return decideGate({ kind: 'rule', rule, says: 'Only our own people write what runs here.' }, facts);
}

test('a rule that holds lets a release in, and one that does not refuses it in the words of the team', () => {
  expect(decide(OURS)).toMatchObject({ kind: 'pass', reason: { what: 'Only our own people write what runs here.' } });
  const stranger = factsOf({ authors: [{ name: 'Mallory', email: 'mallory@else.example' }] });
  expect(decide(OURS, stranger)).toMatchObject({
    kind: 'refuse',
    reason: {
      gate: 'rule',
      what: `Only our own people write what runs here. This is not so of 4f2a91c: \`${OURS}\` is false.`,
      fix: 'Promote a release of which it is true, or change the rule of qa in towpath.yaml on main.',
    },
  });
});

test('what cannot be answered of this release is refused with the cause', () => {
  expect(decide('authors[3].name == "Ana"')).toMatchObject({
    kind: 'refuse',
    reason: { what: expect.stringContaining('cannot be answered for 4f2a91c: index 3 out of bounds') },
  });
});

describe('a mistake is found when the configuration is read', () => {
  test.each([
    ['release.name ==', 'expecting'],
    ['release.tag == "v1"', 'field not found: tag'],
    ['evidence.unit == "failed"', 'unresolved attribute'],
    ['release.name.matches("(")', 'missing closing'],
    ['release.name', 'neither true nor false'],
    ['[1].all(a, [1].all(b, [1].all(c, true)))', 'has more than 2 loops in each other'],
    ['size([1].map(a, size([1].map(b, size([1].filter(c, true)))))) > 0', 'has more than 2 loops in each other'],
  ])('%s', (rule, fault) => {
    expect(faultOf(rule)).toContain(fault);
  });

  test.each([OURS, 'authors[3].name == "Ana"', 'order in ["first", "newer"] && !release.mixed'])(
    '%s is none',
    (rule) => {
      expect(faultOf(rule)).toBeNull();
    },
  );
});

test('a pattern made to take exponential time takes none', () => {
  const name = 'a'.repeat(5_000);
  const names = namesFor(factsOf({ release: { name } }));
  expect(holds('release.name.matches("^(a|a)*(a+)+b$")', names)).toBe(false);
});

test('what was learnt or approved changes no answer', () => {
  fc.assert(
    fc.property(anyFacts, anyFacts, (facts, other) => {
      const changed = { ...facts, evidence: other.evidence, approvals: other.approvals, now: other.now };
      expect(decide(OURS, changed)).toEqual(decide(OURS, facts));
    }),
    cases(100),
  );
});

test('whatever is written as a rule is a rule or is refused, and nothing else happens', () => {
  const piece = fc.constantFrom(
    'authors',
    '.all(a, ',
    ')',
    '(',
    '&&',
    '!',
    'order',
    '"',
    "'",
    '[0]',
    '.name',
    '==',
    '\\',
    '\n',
    '{',
    '1',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join(' ')),
      ),
      (rule) => {
        const fault = faultOf(rule);
        if (fault === null) expect(['boolean', 'object']).toContain(typeof holds(rule, namesFor(factsOf())));
      },
    ),
    cases(500),
  );
});
