import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../../../lib/testing/cases.ts';
import { compareAlpineVersions, isAlpineVersion } from './alpine-version.ts';
import { orderOf } from './order.ts';

test.each([
  ['npm', ['1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-rc.2', '1.0.0', '1.0.1', '1.2.0', '1.10.0', 'v2.0.0']],
  ['PyPI', ['1.0.dev1', '1.0a1', '1.0rc1', '1.0', '1.0.post1', '1!0.1']],
  ['Debian:12', ['1.0~rc1-1', '1.0-1', '1.0-1+deb12u1', '1.0-1+deb12u2', '1.0-2', '1.10-1', '1:0.1-1']],
  [
    'Alpine:v3.20',
    [
      '1.0_alpha2-r3',
      '1.0_rc1-r0',
      '1.0-r0',
      '1.0-r1',
      '1.0-r10',
      '1.0_git20240101-r0',
      '1.0_p1-r0',
      '1.0a-r0',
      '1.0.1-r0',
      '1.2-r0',
      '1.10-r0',
    ],
  ],
])('versions of %s follow each other', (ecosystem, versions) => {
  const order = orderOf(ecosystem);
  for (const [at, one] of versions.entries())
    for (const [other, version] of versions.entries())
      expect([one, version, Math.sign(order?.(one, version) ?? NaN)]).toEqual([one, version, Math.sign(at - other)]);
});

test('what is no version, or of an ecosystem that nobody knows, is not compared', () => {
  expect(orderOf('npm')?.('workspace:*', '1.0.0')).toBe(null);
  expect(orderOf('PyPI')?.('1.0', 'new')).toBe(null);
  expect(orderOf('Debian:12')?.('<none>', '1')).toBe(null);
  expect(orderOf('Alpine:v3.20')?.('1.0', 'edge')).toBe(null);
  expect(orderOf('Hackage')).toBe(null);
});

test.each([
  // where one goes on, the other is older, unless what goes on is still to come
  ['1.4', '1.4.0'],
  ['1.4', '1.4-r0'],
  ['1.4_rc', '1.4'],
  ['1.4_rc', '1.4_rc0'],
  ['1.4_beta_pre3', '1.4_beta'],
  ['1.4_beta', '1.4_beta_p1'],
  ['1.4_pre3-r2', '1.4.1'],
  ['1.4', '1.4_p0'],
  ['1.4_p1-r9', '1.4a'],
  ['1.4b', '1.4.0_alpha'],
  // each kind of suffix, from what is long before to what is after
  ...consecutive(['9_alpha2', '9_beta', '9_pre', '9_rc', '9', '9_cvs', '9_svn', '9_git', '9_hg', '9_p']),
  // the first number by its value, a later one with a zero in front as a fraction
  ['007', '8.0'],
  ['7.05', '7.5'],
  ['7.001', '7.01'],
  ['7.09', '7.1'],
  ['7.9', '7.10'],
  ['3.20239999999999999999', '3.20240000000000000000'],
  ['2_pre20240229235959-r0', '2_pre20240301000000-r0'],
  // numbers of suffixes and revisions by their value
  ['5.1_p9-r0', '5.1_p10-r0'],
  ['5.1-r9', '5.1-r10'],
  // a hash after all else of the version, and before its revision
  ['5.1~0a1b-r7', '5.1~0a1c-r0'],
  ['5.1-r7', '5.1~0a1b'],
  ['5.1~0a1b', '5.1_p1'],
])('%s is older than %s, as apk has it', (one, other) => {
  const sign = (left: string, right: string): number => Math.sign(compareAlpineVersions(left, right));
  expect([isAlpineVersion(one), isAlpineVersion(other)]).toEqual([true, true]);
  expect([sign(one, other), sign(other, one), sign(one, one), sign(other, other)]).toEqual([-1, 1, 0, 0]);
});

test('what apk takes for no version is none', () => {
  for (const none of [
    '',
    'a',
    '1.',
    '.1',
    '1..2',
    '1.0bc',
    '1_foo',
    '1-r',
    '1-r1.2',
    '1~xyz',
    '1.0_p1a',
    '1.0 ',
    '1.0-r1-r2',
  ])
    expect([none, isAlpineVersion(none)]).toEqual([none, false]);
});

function consecutive(versions: readonly string[]): [string, string][] {
  return versions.slice(1).map((version, at) => [versions[at] ?? '', version]);
}

const anyAlpine = fc
  .tuple(
    fc.array(fc.constantFrom('0', '1', '2', '10', '01', '20240101'), { minLength: 1, maxLength: 4 }),
    fc.constantFrom('', 'a', 'z'),
    fc.array(fc.constantFrom('_alpha', '_alpha0', '_rc1', '_git20240101', '_p', '_p2'), { maxLength: 2 }),
    fc.constantFrom('', '~0a1b', '~ff'),
    fc.constantFrom('', '-r0', '-r2', '-r10'),
  )
  .map(([numbers, letter, suffixes, ...rest]) => [numbers.join('.'), letter, ...suffixes, ...rest].join(''));

test('the order of Alpine is one: what is older than an older one is older', () => {
  fc.assert(
    fc.property(anyAlpine, anyAlpine, anyAlpine, (one, other, third) => {
      expect(isAlpineVersion(one)).toBe(true);
      expect(Math.sign(compareAlpineVersions(one, other)) + Math.sign(compareAlpineVersions(other, one))).toBe(0);
      if (compareAlpineVersions(one, other) <= 0 && compareAlpineVersions(other, third) <= 0)
        expect(compareAlpineVersions(one, third)).toBeLessThanOrEqual(0);
    }),
    cases(200),
  );
});
