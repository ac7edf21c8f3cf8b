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

const anyAlpine = fc
  .tuple(
    fc.array(fc.constantFrom('0', '1', '2', '10', '01', '20240101'), { minLength: 1, maxLength: 4 }),
    fc.constantFrom('', 'a', 'z'),
    fc.array(fc.constantFrom('_alpha', '_rc1', '_git20240101', '_p2'), { maxLength: 2 }),
    fc.constantFrom('', '-r0', '-r2', '-r10'),
  )
  .map(([numbers, letter, suffixes, revision]) => `${numbers.join('.')}${letter}${suffixes.join('')}${revision}`);

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
