import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../../../lib/testing/cases.ts';
import { Advisory } from '../../../advisory.ts';
import type { InstalledPackage } from '../packages/package.ts';
import { affects } from './affects.ts';
import { ratingOf } from './severity.ts';

const real = (file: string): Advisory =>
  Advisory.parse(JSON.parse(readFileSync(new URL(`../../../../../fixtures/osv/${file}`, import.meta.url), 'utf8')));
const lodash = real('npm/GHSA-35jh-r3h4-6jhm.json');
const minimist = real('npm/GHSA-xvch-5gv4-984h.json');
const ip = real('npm/GHSA-78xj-cgh5-2h22.json');
const jinja = real('PyPI/GHSA-h5c8-rqwp-cp95.json');

test.each<[Advisory, string, string, string, string[] | null]>([
  [lodash, 'npm', 'lodash', '4.17.20', ['4.17.21']],
  [lodash, 'npm', 'lodash', '4.17.21', null],
  [lodash, 'npm', 'lodash', '0.0.1-beta', ['4.17.21']],
  [lodash, 'npm', 'lodash-es', '4.0.0', ['4.17.21']],
  [lodash, 'npm', 'lodash.template', '4.0.0', null],
  [lodash, 'PyPI', 'lodash', '4.0.0', null],
  [lodash, 'npm', 'lodash', 'github:lodash/lodash', ['4.17.21']], // nobody can say: it may be
  [minimist, 'npm', 'minimist', '0.2.3', ['0.2.4']],
  [minimist, 'npm', 'minimist', '0.2.4', null],
  [minimist, 'npm', 'minimist', '1.2.5', ['1.2.6']],
  [minimist, 'npm', 'minimist', '1.2.8', null],
  [ip, 'npm', 'ip', '1.1.8', []],
  [ip, 'npm', 'ip', '1.1.9', null],
  [jinja, 'PyPI', 'Jinja2', '3.1.2', ['3.1.3']],
  [jinja, 'PyPI', 'jinja2', '3.1.3rc1', ['3.1.3']],
  [jinja, 'PyPI', 'jinja2', '3.1.3.post1', null],
])('$id', (advisory, ecosystem, name, version, fixed) => {
  expect(affects(advisory, installed(ecosystem, name, version))?.fixed ?? null).toEqual(fixed);
});

test('what was withdrawn affects nothing, and what names all versions affects all', () => {
  expect(affects({ ...lodash, withdrawn: '2024-01-01T00:00:00Z' }, installed('npm', 'lodash', '4.0.0'))).toBe(null);
  const all = record([]);
  expect(affects({ ...all, affected: [{ package: A }] }, installed('npm', 'a', '4.0.0'))).not.toBe(null);
  expect(affects({ ...all, affected: [{ package: A, versions: ['4.0.0'] }] }, installed('npm', 'a', '4.0.1'))).toBe(
    null,
  );
});

test('a release of a distribution is its own', () => {
  const glibc: Advisory = {
    ...record([{ introduced: '0' }, { fixed: '2.36-9+deb12u3' }]),
    id: 'DSA-5514-1',
    affected: [
      {
        package: { ecosystem: 'Debian:12', name: 'glibc' },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '2.36-9+deb12u3' }] }],
      },
      {
        package: { ecosystem: 'Debian:11', name: 'glibc' },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '2.31-13+deb11u7' }] }],
      },
    ],
  };
  expect(affects(glibc, installed('Debian:12', 'glibc', '2.36-9+deb12u2'))?.fixed).toEqual(['2.36-9+deb12u3']);
  expect(affects(glibc, installed('Debian:11', 'glibc', '2.31-13+deb11u7'))).toBe(null);
  expect(affects(glibc, installed('Debian:13', 'glibc', '2.31-1'))).toBe(null);
});

test('the events of a range hold in the order of their versions, up to its limit', () => {
  const events = [{ fixed: '1.5.0' }, { introduced: '2.0.0' }, { introduced: '1.0.0' }, { last_affected: '2.2.0' }];
  const hit = (version: string, ...more: { limit: string }[]): boolean =>
    affects(record([...events, ...more]), installed('npm', 'a', version)) !== null;
  expect(['0.9.0', '1.0.0', '1.4.9', '1.5.0', '2.0.0', '2.2.0', '2.2.1'].filter((version) => hit(version))).toEqual([
    '1.0.0',
    '1.4.9',
    '2.0.0',
    '2.2.0',
  ]);
  expect(hit('2.0.0', { limit: '2.0.0' })).toBe(false);
  expect(hit('2.0.0', { limit: '2.0.0' }, { limit: '*' })).toBe(true);
});

test('more that is affected never makes a version safe', () => {
  const anyVersion = fc.tuple(fc.nat(3), fc.nat(3)).map(([major, minor]) => `${major}.${minor}.0`);
  const anyRange = fc.tuple(anyVersion, anyVersion).map(([introduced, fixed]) => [{ introduced }, { fixed }]);
  fc.assert(
    fc.property(fc.array(anyRange, { minLength: 1, maxLength: 4 }), anyRange, anyVersion, (ranges, more, version) => {
      const of = (all: { introduced?: string; fixed?: string }[][]): boolean =>
        affects(
          { ...record([]), affected: [{ package: A, ranges: all.map((events) => ({ type: 'SEMVER', events })) }] },
          installed('npm', 'a', version),
        ) !== null;
      if (of(ranges)) expect(of([...ranges, more])).toBe(true);
    }),
    cases(200),
  );
});

test('the worst rating counts: of a vector, or of words', () => {
  expect([lodash, minimist, ip, jinja].map((one) => ratingOf(one, one.affected ?? []))).toEqual([
    'high',
    'critical',
    'high',
    'medium',
  ]);
  const rated = (patch: Partial<Advisory>): string => ratingOf({ ...record([]), ...patch }, patch.affected ?? []);
  const v4 = 'CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N';
  expect(rated({ severity: [{ type: 'CVSS_V4', score: v4 }] })).toBe('critical');
  expect(rated({ severity: [{ type: 'CVSS_V3', score: 'CVSS:3.1/AV:N' }] })).toBe('unrated');
  expect(rated({ severity: [{ type: 'Ubuntu', score: 'high' }] })).toBe('high');
  expect(rated({ affected: [{ ecosystem_specific: { urgency: 'unimportant' } }] })).toBe('low');
  expect(rated({ affected: [{ ecosystem_specific: { urgency: 'not yet assigned' } }] })).toBe('unrated');
  expect(rated({ id: 'MAL-2024-1' })).toBe('critical');
  expect(rated({})).toBe('unrated');
});

const A = { ecosystem: 'npm', name: 'a' };

function record(events: { introduced?: string; fixed?: string; last_affected?: string; limit?: string }[]): Advisory {
  const affected = [{ package: A, ranges: [{ type: 'SEMVER', events }] }];
  return { id: 'TEST-1', modified: '2026-01-01T00:00:00Z', affected };
}

function installed(ecosystem: string, name: string, version: string): InstalledPackage {
  return { ecosystem, name, version, called: name, where: 'somewhere' };
}
