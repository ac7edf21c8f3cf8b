import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import type { AnswerFacts, ApprovalFacts } from './facts.ts';
import { decideGate } from './gates.ts';
import type { CheckGate } from './gates/check.ts';
import type { GateVerdict } from './policy.ts';
import { answerOf, anyFacts, factsOf, type FactsPatch, NOW } from './testing/facts.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function approvals(count: number, ...given: ApprovalFacts[]): GateVerdict {
  return decideGate({ kind: 'approvals', of: 'managers', count, expiresMs: DAY }, factsOf({ approvals: given }));
}

function yes(by: string, at = NOW - HOUR): ApprovalFacts {
  return { by, verdict: 'approved', at, comment: null, forThis: true };
}

function what(verdict: GateVerdict): string {
  return verdict.reason?.what ?? verdict.kind;
}

test('n people of the role have to agree', () => {
  expect(what(approvals(1))).toBe('It waits for 1 more approval of managers.');
  expect(what(approvals(2, yes('bob')))).toBe('It waits for 1 more approval of managers (so far: bob).');
  expect(approvals(2, yes('bob'), yes('eve')).kind).toBe('pass');
});

test('who is not of the role has no voice, neither for nor against', () => {
  expect(approvals(1, yes('mallory')).kind).toBe('wait');
  expect(approvals(1, yes('bob'), { ...yes('mallory'), verdict: 'rejected' }).kind).toBe('pass');
});

test('the author alone is never enough, whatever the case of the name; beside another one they count', () => {
  expect(what(approvals(1, yes('Ana')))).toContain('by somebody who did not write it');
  expect(approvals(2, yes('ana'), yes('bob')).kind).toBe('pass');
});

test('one person with two spellings of a name is one', () => {
  expect(approvals(2, yes('bob'), yes('Bob')).kind).toBe('wait');
});

describe('whether somebody wrote it', () => {
  const robert = { name: 'Robert B.', email: 'robert@home.example' };
  const verdict = (patch: FactsPatch, ...given: ApprovalFacts[]) =>
    decideGate(
      { kind: 'approvals', of: 'managers', count: 1, expiresMs: DAY },
      factsOf({ committers: [], approvals: given, ...patch }),
    );

  test('is known from the names and addresses that `users` lists, in any case', () => {
    for (const known of ['ROBERT@home.example', 'robert b.']) {
      const patch = { users: { Bob: [known] }, authors: [robert] };
      expect(what(verdict(patch, yes('bob')))).toContain('by somebody who did not write it');
      expect(verdict(patch, yes('eve')).kind).toBe('pass');
    }
  });

  test('cannot be told while nobody knows the author: it waits, says whom and why, and who is listed may approve', () => {
    const untold = verdict({ authors: [robert] }, yes('bob'));
    expect(what(untold)).toBe(
      'It cannot tell whether bob wrote it: no user is known for the author Robert B. <robert@home.example>.',
    );
    expect(untold).toMatchObject({
      kind: 'wait',
      reason: { fix: expect.stringContaining('`users: { bob: [address] }`') },
    });
    expect(verdict({ authors: [robert], users: { bob: [] } }, yes('bob')).kind).toBe('pass');
    expect(verdict({ authors: [robert], users: { eve: ['eve@shop.example'] } }, yes('bob'), yes('eve')).kind).toBe(
      'pass',
    );
  });

  test('of more people than there are unknown authors one is none of them', () => {
    expect(verdict({ authors: [robert] }, yes('bob'), yes('eve')).kind).toBe('pass');
    const two = [robert, { name: 'R', email: 'r@else.example' }];
    expect(verdict({ authors: two }, yes('bob'), yes('eve')).kind).toBe('wait');
    expect(verdict({ authors: two }, yes('bob'), yes('eve'), yes('ana')).kind).toBe('pass');
    const renamed = [robert, { name: 'Bob', email: 'ROBERT@home.example' }];
    expect(verdict({ authors: renamed }, yes('eve'), yes('ana')).kind).toBe('pass');
  });

  test('counts who amended a commit, and passes over a git host that made the merge', () => {
    const ana = { name: 'Ana', email: 'ana@shop.example' };
    const patch = { users: { bob: ['robert@home.example'] }, authors: [ana] };
    expect(verdict({ ...patch, committers: [robert] }, yes('bob')).kind).toBe('wait');
    const host = { name: 'GitHub', email: 'noreply@github.com' };
    expect(verdict({ ...patch, committers: [host] }, yes('bob')).kind).toBe('pass');
  });

  test('the author alone never passes, whoever commits under whatever names, where lists are complete', () => {
    const people = ['bob', 'eve', 'ana', 'dee'];
    const anyPerson = fc.record({ listed: fc.boolean(), approves: fc.boolean(), wrote: fc.subarray([0, 1, 2]) });
    fc.assert(
      fc.property(
        fc.tuple(anyPerson, anyPerson, anyPerson, anyPerson),
        fc.integer({ min: 1, max: 3 }),
        (all, count) => {
          const each = people.map((user, at) => ({
            user,
            ...(all[at] ?? { listed: false, approves: false, wrote: [] }),
          }));
          const identity = (user: string, number: number) => ({
            name: `N${number}`,
            email: `${user}${number}@x.example`,
          });
          const facts = factsOf({
            roles: { managers: people },
            users: Object.fromEntries(
              each
                .filter(({ listed }) => listed)
                .map(({ user }) => [
                  user.toUpperCase(),
                  [0, 1, 2].map((number) => identity(user, number).email.toUpperCase()),
                ]),
            ),
            authors: each.flatMap(({ user, wrote }) => wrote.map((number) => identity(user, number))),
            committers: [],
            approvals: each.filter(({ approves }) => approves).map(({ user }) => yes(user)),
          });
          const passes =
            decideGate({ kind: 'approvals', of: 'managers', count, expiresMs: DAY }, facts).kind === 'pass';
          const approvers = each.filter(({ approves }) => approves);
          const isOther = approvers.some(({ wrote }) => wrote.length === 0);
          if (passes) expect(isOther && approvers.length >= count).toBe(true);
          if (each.every(({ listed }) => listed)) expect(passes).toBe(isOther && approvers.length >= count);
        },
      ),
      cases(500),
    );
  });
});

test('an approval expires at a known instant', () => {
  expect(approvals(1, yes('bob', NOW - DAY)).kind).toBe('wait');
  expect(approvals(1, yes('bob', NOW - DAY + 1)).kind).toBe('pass');
  expect(approvals(2, yes('bob', NOW - HOUR))).toMatchObject({ kind: 'wait', wakeAtMs: NOW - HOUR + DAY });
});

test('an approval counts for the configuration that it was given for, and a rejection for any', () => {
  const other = { ...yes('bob'), forThis: false };
  expect(what(approvals(1, other))).toBe(
    'It waits for 1 more approval of managers (bob approved it for another configuration of qa than it has now).',
  );
  expect(what(approvals(1, other, yes('eve')))).toBe('Approved by eve.');
  expect(approvals(1, yes('eve'), { ...other, verdict: 'rejected' }).kind).toBe('refuse');
});

test('people may be named instead of a role', () => {
  const verdict = (...given: ApprovalFacts[]) =>
    decideGate({ kind: 'approvals', of: ['bob', 'dee'], count: 2, expiresMs: DAY }, factsOf({ approvals: given }));
  expect(what(verdict(yes('bob'), yes('eve')))).toBe(
    'It waits for 1 more approval of bob or dee (so far: bob) (eve is not of bob or dee).',
  );
  expect(verdict(yes('bob'), yes('dee'))).toMatchObject({ kind: 'pass', reason: { untilMs: NOW - HOUR + DAY } });
});

test('one rejection refuses, with its comment', () => {
  const verdict = approvals(1, yes('bob'), { ...yes('eve'), verdict: 'rejected', comment: 'not on a Friday' });
  expect(verdict.kind).toBe('refuse');
  expect(what(verdict)).toBe('eve rejected it: not on a Friday.');
});

test('fewer voices never pass where more did not', () => {
  fc.assert(
    fc.property(anyFacts, fc.integer({ min: 1, max: 3 }), (facts, count) => {
      const gate = { kind: 'approvals', of: 'managers', count, expiresMs: DAY } as const;
      fc.pre(facts.approvals.every(({ verdict }) => verdict === 'approved'));
      fc.pre(decideGate(gate, facts).kind !== 'pass');
      expect(decideGate(gate, { ...facts, approvals: facts.approvals.slice(1) }).kind).not.toBe('pass');
    }),
  );
});

describe('a check', () => {
  const verdict = (answers: readonly AnswerFacts[], gate: Partial<CheckGate> = {}, patch: FactsPatch = {}) =>
    decideGate({ kind: 'check', name: 'unit', ...gate }, factsOf({ ...patch, evidence: { unit: answers } }));

  test('passes only by a pass; a failure refuses, and what nobody asked yet is asked', () => {
    expect(verdict([answerOf('passed')])).toMatchObject({ kind: 'pass', reason: { evidence: ['evi_1'] } });
    expect(verdict([answerOf('failed')]).kind).toBe('refuse');
    expect(what(verdict([answerOf('error', { summary: 'no report' })]))).toBe(
      'unit could not be answered for 4f2a91c: web: no report',
    );
    expect(verdict([answerOf(null)])).toMatchObject({
      kind: 'wait',
      checks: [{ check: 'unit' }],
      wakeAtMs: NOW + 60_000,
    });
  });

  test('that no service has can prove nothing: deleting it does not open the gate', () => {
    expect(verdict([]).kind).toBe('refuse');
  });

  test('is asked again when its answer is older than the gate takes, and a pass says until when it counts', () => {
    const gate = { freshMs: DAY };
    expect(verdict([answerOf('passed', { at: NOW - HOUR })], gate)).toMatchObject({
      kind: 'pass',
      reason: { untilMs: NOW - HOUR + DAY },
    });
    const stale = verdict([answerOf('passed'), answerOf('passed', { service: 'api', at: NOW - DAY })], gate);
    expect(stale).toMatchObject({ kind: 'wait', checks: [{ check: 'unit', sinceMs: NOW - DAY }] });
    expect(what(stale)).toContain('its answer may be at most 1d old; it is being asked again');
    expect(verdict([answerOf('failed', { at: NOW - 9 * DAY })], gate).kind).toBe('refuse');
  });

  test('of a branch counts only where the protected branch asks the same; one that came by itself waits for that', () => {
    const loose = [answerOf('passed', { asked: 'otherwise', differs: ['run', 'junit'] })];
    const byHand = { promotion: { automatic: false } };
    expect(what(verdict(loose, {}, byHand))).toBe(
      'What 4f2a91c says of unit does not count in qa: main asks unit of web with another run, junit.',
    );
    expect(verdict(loose, {}, byHand)).toMatchObject({
      kind: 'refuse',
      reason: { fix: expect.stringContaining('into main') },
    });
    expect(verdict(loose).kind).toBe('wait');
    expect(what(verdict([answerOf('passed'), answerOf(null, { service: 'api', asked: 'only-there' })]))).toContain(
      'main asks unit of api and this release does not',
    );
    expect(what(verdict([answerOf('passed', { asked: 'only-here' })]))).toContain('main asks no unit of web');
    expect(verdict([answerOf('failed', { asked: 'otherwise', differs: ['run'] })]).kind).toBe('refuse');
  });
});

test('soak counts the time in a predecessor, and ends at a known instant where it runs now', () => {
  const soak = (...predecessors: { name: string; ranMs: number | null; runsNow: boolean }[]) =>
    decideGate({ kind: 'soak', ms: HOUR }, factsOf({ predecessors }));
  expect(what(soak({ name: 'qa', ranMs: HOUR, runsNow: false }))).toBe('It ran 60 min in qa.');
  expect(soak({ name: 'qa', ranMs: HOUR - 1000, runsNow: true })).toEqual({
    kind: 'wait',
    reason: { gate: 'soak', what: 'It has to run 1 s more in qa.', untilMs: NOW + 1000 },
    wakeAtMs: NOW + 1000,
  });
  const away = soak({ name: 'qa', ranMs: 1000, runsNow: false });
  expect(away).not.toHaveProperty('wakeAtMs');
  expect(what(away)).toBe('It has to run 60 min more in qa, and does not run there now.');
  expect(
    what(soak({ name: 'qa', ranMs: null, runsNow: false }, { name: 'demo', ranMs: null, runsNow: false })),
  ).toContain('qa or demo');
});

test('of several predecessors the one where it runs now ends the wait', () => {
  fc.assert(
    fc.property(anyFacts, fc.integer({ min: 1, max: 9 * HOUR }), (facts, ms) => {
      const verdict = decideGate({ kind: 'soak', ms }, facts);
      expect(verdict.kind === 'pass').toBe(facts.predecessors.some(({ ranMs }) => ranMs !== null && ranMs >= ms));
      if (verdict.kind === 'wait')
        expect(verdict.wakeAtMs !== undefined).toBe(facts.predecessors.some(({ runsNow }) => runsNow));
    }),
  );
});

test('a freeze holds everybody until its windows have closed, and gives the reason of the one that is open', () => {
  const window = { kind: 'once', fromMs: NOW - HOUR, untilMs: NOW + HOUR, reason: 'the fair' } as const;
  const later = { ...window, fromMs: NOW + DAY, untilMs: NOW + 2 * DAY, reason: 'holidays' };
  const verdict = decideGate(
    { kind: 'freeze', windows: [later, window] },
    factsOf({ promotion: { automatic: false } }),
  );
  expect(verdict).toMatchObject({ kind: 'wait', wakeAtMs: NOW + HOUR });
  expect(what(verdict)).toContain('qa is frozen (the fair) until 2026-05-20T13:00:00.000Z');
  expect(what(decideGate({ kind: 'freeze', windows: [later] }, factsOf()))).toBe('qa is not frozen.');
});

test('unchanged refuses other artifacts than the tested ones; the first ever is the base line', () => {
  const unchanged = { kind: 'differs', what: 'It is another image.', fix: 'Merge again.' } as const;
  expect(decideGate({ kind: 'unchanged' }, factsOf({ unchanged }))).toMatchObject({
    kind: 'refuse',
    reason: { what: 'It is another image.', fix: 'Merge again.' },
  });
  expect(decideGate({ kind: 'unchanged' }, factsOf({ unchanged, order: 'first' })).kind).toBe('pass');
  const unknown = { kind: 'unknown', what: 'Its branch is being taken in.' } as const;
  expect(decideGate({ kind: 'unchanged' }, factsOf({ unchanged: unknown }))).toMatchObject({
    kind: 'wait',
    wakeAtMs: NOW + 1000,
  });
});
