import fc from 'fast-check';
import { expect, test } from 'vitest';

import { compileGlob } from './glob.ts';

test.each([
  ['services/web', 'services/web/server.js', true],
  ['services/web', 'services/webshop/server.js', false],
  ['services/web/', 'services/web', true],
  ['./services/*', 'services/web/a/b', true],
  ['*.json', 'package.json', true],
  ['*.json', 'web/package.json', false],
  ['**/*.json', 'package.json', true],
  ['**/*.json', 'a/b/package.json', true],
  ['a/**/z', 'a/z', true],
  ['a/**/z', 'a/b/c/z', true],
  ['a/**/z', 'a/bz', false],
  ['a/**', 'a/b', true],
  ['a/**', 'a', false],
  ['**/test/**', 'web/test/unit.js', true],
  ['**/test/**', 'web/testing/unit.js', false],
  ['web/?.js', 'web/a.js', true],
  ['web/?.js', 'web//.js', false],
  ['*.{js,ts}', 'a.ts', true],
  ['*.{js,ts}', 'a.tsx', false],
  ['{a,b}/{c,d}', 'b/c', true],
  ['{a,}b', 'b', true],
  ['[a-c]x', 'bx', true],
  ['[!a-c]x', 'bx', false],
  ['[!a-c]x', 'dx', true],
  ['a[', 'a[', true],
  [String.raw`\*`, '*', true],
  [String.raw`\*`, 'a', false],
  [String.raw`\{a,b\}`, '{a,b}', true],
  ['caf\u00e9/?', 'caf\u00e9/\u{1f600}', true],
  ['', '', true],
  ['', 'a', false],
])('as a path, %s and %s: %s', (pattern, text, expected) => {
  expect(compileGlob(pattern, 'path')(text)).toBe(expected);
});

test.each([
  ['*', 'feature/a/b', true],
  ['feature/*', 'feature/a/b', true],
  ['feature/*', 'feature', false],
  ['v*', 'v1.0.0', true],
  ['v[0-9]*', 'vnext', false],
  ['v1.?.0', 'v1.2.0', true],
  ['main', 'main/x', false],
  ['{main,release-*}', 'release-1', true],
  ['rc-*', 'src-1', false],
])('as a name, %s and %s: %s', (pattern, text, expected) => {
  expect(compileGlob(pattern, 'name')(text)).toBe(expected);
});

test('a text without magic matches itself and nothing else', () => {
  const plain = fc.string({ unit: fc.constantFrom('a', 'b', '-', '.', '/', '+', '(', '$', '^') });
  fc.assert(
    fc.property(plain, plain, (one, other) => {
      expect(compileGlob(one, 'name')(other)).toBe(one === other);
    }),
  );
});

test('any pattern compiles, and any text is answered', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('path', 'name'),
      (pattern, text, kind) => {
        expect(typeof compileGlob(pattern, kind)(text)).toBe('boolean');
      },
    ),
  );
});

test('a pattern made to be slow is answered at once', () => {
  const started = performance.now();
  expect(compileGlob(`${'*a'.repeat(40)}b`, 'path')('a'.repeat(5_000))).toBe(false);
  expect(compileGlob('{a,b}'.repeat(30), 'path')('a'.repeat(30))).toBe(false);
  expect(performance.now() - started).toBeLessThan(5_000);
});
