import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../../lib/testing/cases.ts';
import type { ScanFacts } from '../../kind.ts';
import type { Rating } from './advisories/severity.ts';
import { judge, type Limits, type ScanOutcome } from './judge.ts';
import type { InstalledPackage } from './packages/package.ts';
import { sameOnce } from './same.ts';
import type { Scanned, Vulnerability } from './scanner.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 30, 12);
const DATABASE = { source: 'advisories' as const, digest: 'd1', atMs: NOW - DAY, newestMs: NOW };
const LIMITS: Limits = { failOn: 'high', unrated: 'fail', onlyFixed: false, maxAge: 7 * DAY, allow: [] };
const ip: InstalledPackage = {
  ecosystem: 'npm',
  name: 'ip',
  version: '1.1.8',
  called: 'ip',
  where: 'app/node_modules/ip/package.json',
};
const ssl: InstalledPackage = {
  ecosystem: 'Debian:12',
  name: 'openssl',
  version: '3.0.11-1',
  called: 'libssl3',
  where: 'var/lib/dpkg/status',
};

test.each<[string, Partial<ScanOutcome>, Partial<Limits>, ScanFacts['state'], RegExp]>([
  ['nothing is known of it', {}, {}, 'pass', /^nothing high or worse in 2 packages; advisories of 2026-11-29$/],
  ['what is known is below', of(bug('medium')), {}, 'pass', /, 1 below; advisories/],
  [
    'what is known is beyond',
    of(bug('critical')),
    {},
    'fail',
    /^1 vulnerability high or worse: ip@1.1.8 by GHSA-1 \(CVE-1\), critical: upgrade to 1.1.9 or newer$/,
  ],
  ['nobody has rated it', of(bug('unrated')), {}, 'fail', /, not rated: /],
  ['nobody has rated it, and that may be', of(bug('unrated')), { unrated: 'pass' }, 'pass', /1 below/],
  ['nothing mends it', of(bug('high', [])), {}, 'fail', /: no version is known to mend it/],
  ['whether anything mends it is not said', of(bug('high', null)), { onlyFixed: true }, 'fail', /mends it is not said/],
  ['nothing mends it, and that may be', of(bug('high', [])), { onlyFixed: true }, 'pass', /1 below/],
  [
    'it is in the base image',
    of({ ...bug('high', ['3.0.13-1']), installed: ssl }),
    {},
    'fail',
    /libssl3@3.0.11-1 \(of openssl\) by .*fixed in 3.0.13-1, take a newer base image/,
  ],
  [
    'somebody answers for it',
    of(bug('high')),
    allowed('2026-12-01'),
    'pass',
    /1 allowed \(CVE-1 by olga until 2026-12-01\)/,
  ],
  ['somebody answers for another package', of(bug('high')), allowed('2026-12-01', 'left-pad'), 'fail', /ip@1.1.8/],
  [
    'somebody answered for it until yesterday',
    of(bug('high')),
    allowed('2026-11-29'),
    'fail',
    /\(olga allowed it until 2026-11-29\)/,
  ],
  [
    'there are no advisories',
    { scanned: { kind: 'no-data', why: 'this server has no advisories' } },
    {},
    'no-data',
    /^this server has no advisories: docs/,
  ],
  [
    'there are none of an ecosystem',
    of([], 'this server has no advisories of Debian:12'),
    {},
    'no-data',
    /^this server has no advisories of Debian:12: docs/,
  ],
  [
    'there are none of one, and a bug in another',
    of([bug('high')], 'this server has no advisories of Debian:12'),
    {},
    'fail',
    /ip@1.1.8/,
  ],
  ['nothing is installed', { packages: [] }, {}, 'no-data', /names no package/],
  [
    'nothing that is installed is known here, and the scanner looked by itself',
    { packages: [], scanner: { name: 'test', looksItself: true } },
    {},
    'pass',
    /^nothing high or worse; advisories/,
  ],
  [
    'a list could not be read',
    { unreadable: ['var/lib/dpkg/status'] },
    {},
    'error',
    /^it cannot be read: var\/lib\/dpkg\/status/,
  ],
  [
    'advisories are too old',
    {},
    { maxAge: DAY },
    'stale-db',
    /^it rests upon advisories of 2026-11-29, which may be at most 1d old/,
  ],
  ['advisories are too old, and they knew it', of(bug('high')), { maxAge: DAY }, 'fail', /ip@1.1.8/],
  [
    'the scanner broke',
    { scanned: { kind: 'broken', why: 'osv-scanner ended with 127' } },
    {},
    'error',
    /^osv-scanner ended with 127$/,
  ],
])('%s', (_, outcome, limits, state, words) => {
  const answer = judgeOf(outcome, limits);
  expect(answer.summary).toMatch(words);
  expect(answer.scan?.state).toBe(state);
  expect(answer.verdict).toBe({ pass: 'passed', fail: 'failed' }[state as string] ?? 'error');
});

test('a pass counts until what it rests upon is too old or allowed no more', () => {
  expect(judgeOf().scan?.untilMs).toBe(NOW + 6 * DAY);
  expect(judgeOf(of(bug('high')), allowed('2026-12-01')).scan?.untilMs).toBe(Date.UTC(2026, 11, 2));
});

test('the worst is told first, and all is counted', () => {
  const many = ['low', 'high', 'critical', 'high', 'high', 'unrated'].map((rating, at) => ({
    ...bug(rating as Rating),
    id: `GHSA-${at}`,
    aliases: [],
  }));
  const { summary, findings } = judgeOf(of(many));
  expect(summary).toMatch(
    /^5 vulnerabilities high or worse: ip@1.1.8 by GHSA-5, not rated.*GHSA-2, critical.*GHSA-1, high.*; and 2 more$/,
  );
  expect(findings?.counts).toEqual({ error: 5, warning: 1, note: 0 });
  expect(findings?.first.at(-1)).toEqual({
    level: 'warning',
    rule: 'GHSA-0',
    message: 'low; upgrade to 1.1.9 or newer',
    where: 'ip@1.1.8 in app/node_modules/ip/package.json',
  });
});

test('what several databases call otherwise is one, as bad as the worst says', () => {
  const [one, ...rest] = sameOnce([
    { ...bug('medium', ['1.1.10']), id: 'PYSEC-1', aliases: ['CVE-1'] },
    { ...bug('low'), id: 'OTHER-1', aliases: [] },
    { ...bug('high'), id: 'GHSA-1', aliases: ['CVE-1'] },
  ]).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  expect(one).toMatchObject({
    id: 'GHSA-1',
    aliases: ['CVE-1', 'PYSEC-1'],
    rating: 'high',
    fixed: ['1.1.9', '1.1.10'],
  });
  expect(rest.map(({ id }) => id)).toEqual(['OTHER-1']);
});

const anyBug = fc
  .record({
    rating: fc.constantFrom<Rating>('critical', 'high', 'medium', 'low', 'unrated'),
    fixed: fc.boolean(),
    id: fc.nat(3),
  })
  .map(({ rating, fixed, id }) => ({
    ...bug(rating, fixed ? ['2.0.0'] : []),
    id: `GHSA-${id}`,
    aliases: [`CVE-${id}`],
  }));
const anyScanned: fc.Arbitrary<Scanned> = fc.oneof(
  fc.constant<Scanned>({ kind: 'no-data', why: 'none' }),
  fc.constant<Scanned>({ kind: 'broken', why: 'broken' }),
  fc.record({
    kind: fc.constant('scanned' as const),
    vulnerabilities: fc.array(anyBug, { maxLength: 3 }),
    unseen: fc.constantFrom(null, 'nothing is known of npm'),
    database: fc.integer({ min: 0, max: 10 }).map((days) => ({ ...DATABASE, atMs: NOW - days * DAY })),
  }),
);
const anyOutcome = fc.record({
  packages: fc.subarray([ip, ssl]),
  unreadable: fc.subarray(['var/lib/dpkg/status']),
  scanned: anyScanned,
});
const anyLimits = fc.record({
  failOn: fc.constantFrom('critical' as const, 'high' as const, 'low' as const),
  unrated: fc.constantFrom('fail' as const, 'pass' as const),
  onlyFixed: fc.boolean(),
  maxAge: fc.integer({ min: 1, max: 9 }).map((days) => days * DAY),
  allow: fc.array(
    fc
      .tuple(fc.nat(3), fc.integer({ min: -2, max: 2 }))
      .map(([id, days]) => ({ id: `CVE-${id}`, owner: 'olga', reason: 'not reached', untilMs: NOW + days * DAY })),
    { maxLength: 2 },
  ),
});

test('more that is known, less that can be looked at, and time never turn a refusal into a pass', () => {
  const change = fc.constantFrom(
    'another bug',
    'an ecosystem is missing',
    'no database',
    'a list is broken',
    'no packages',
    'it broke',
    'a day later',
  );
  fc.assert(
    fc.property(anyOutcome, anyLimits, anyBug, change, (outcome, limits, more, what) => {
      fc.pre(judgeOf(outcome, limits).verdict !== 'passed');
      const { scanned } = outcome;
      const inScanned = (patch: Partial<Extract<Scanned, { kind: 'scanned' }>>): ScanOutcome => ({
        scanner: { name: 'test' },
        ...outcome,
        scanned: scanned.kind === 'scanned' ? { ...scanned, ...patch } : scanned,
      });
      const known = scanned.kind === 'scanned' ? scanned.vulnerabilities : [];
      const after: Record<string, Partial<ScanOutcome>> = {
        'another bug': inScanned({ vulnerabilities: [...known, more] }),
        'an ecosystem is missing': inScanned({ unseen: 'nothing is known of npm', vulnerabilities: [] }),
        'no database': { ...outcome, scanned: { kind: 'no-data', why: 'none' } },
        'a list is broken': { ...outcome, unreadable: ['lib/apk/db/installed'] },
        'no packages': { ...inScanned({ vulnerabilities: [] }), packages: [], unreadable: [] },
        'it broke': { ...outcome, scanned: { kind: 'broken', why: 'broken' } },
      };
      const now = what === 'a day later' ? NOW + DAY : NOW;
      expect(judgeOf(after[what] ?? outcome, limits, now).verdict).not.toBe('passed');
    }),
    cases(500),
  );
});

function judgeOf(outcome: Partial<ScanOutcome> = {}, limits: Partial<Limits> = {}, now = NOW) {
  return judge(
    { scanner: { name: 'test 1' }, packages: [ip, ssl], unreadable: [], ...of([]), ...outcome },
    { ...LIMITS, ...limits },
    now,
  );
}

function of(vulnerabilities: Vulnerability | Vulnerability[], unseen: string | null = null): { scanned: Scanned } {
  return { scanned: { kind: 'scanned', vulnerabilities: [vulnerabilities].flat(), unseen, database: DATABASE } };
}

function bug(rating: Rating, fixed: string[] | null = ['1.1.9']): Vulnerability {
  return { installed: ip, id: 'GHSA-1', aliases: ['CVE-1'], rating, fixed };
}

function allowed(until: string, name?: string): Partial<Limits> {
  const entry = { id: 'CVE-1', owner: 'olga', reason: 'not reached', untilMs: Date.parse(until) + DAY };
  return { allow: [{ ...entry, ...(name === undefined ? {} : { package: name }) }] };
}
