import { expect, test } from 'vitest';

import { parseIgnore } from './ignore.ts';

/** Pattern, then paths that it ignores, then paths that it does not. After Docker's own documentation and tests. */
const CASES: readonly [pattern: string, ignored: readonly string[], kept: readonly string[]][] = [
  ['node_modules', ['node_modules', 'node_modules/a/b.js'], ['src/node_modules/a', 'node_modules2']],
  ['/build/', ['build/x'], ['a/build/x']],
  ['*.md', ['README.md'], ['docs/README.md', 'READMEamd']],
  ['**/*.md', ['README.md', 'docs/a/README.md'], ['a.mdx']],
  ['*/temp*', ['a/temporary.txt', 'a/temp/x'], ['temp', 'a/b/temp']],
  ['**', ['a', 'a/b'], []],
  ['a/**/z', ['a/z', 'a/b/c/z'], ['a/bz', 'az']],
  ['a**z', ['az', 'a/b/z', 'abz'], ['b/az']],
  ['temp?', ['tempa'], ['temp', 'temp/']],
  ['[a-c]?[^x]', ['amy', 'cab'], ['dab', 'abx', 'a/b']],
  ['\\*.md', ['*.md'], ['x.md']],
  ['a.b(c)+', ['a.b(c)+'], ['axb(c)+', 'a.bcc']],
  ['./x/../y', ['y'], ['x/y', 'x']],
  ['.', [], ['a']],
  ['# not a pattern', [], ['# not a pattern']],
];

test.each(CASES)('the pattern %s ignores what Docker ignores', (pattern, ignored, kept) => {
  const ignores = parseIgnore(pattern);
  expect(ignored.filter((path) => !ignores(path))).toEqual([]);
  expect(kept.filter((path) => ignores(path))).toEqual([]);
});

test('the last pattern that fits decides, and ! brings back', () => {
  const ignores = parseIgnore('*.md\n!README*.md\nREADME-secret.md\n\r\n  docs  \n!docs/keep\n');
  const paths = ['a.md', 'README.md', 'README-secret.md', 'docs/x', 'docs/keep', 'docs/keep/y'];
  expect(paths.filter(ignores)).toEqual(['a.md', 'README-secret.md', 'docs/x']);
});

test('a pattern made to take for ever is answered at once', () => {
  const ignores = parseIgnore(`${'**/*a'.repeat(200)}b`);
  expect(ignores('a/'.repeat(500))).toBe(false);
});
