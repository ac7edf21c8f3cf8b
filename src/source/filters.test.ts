import { expect, test } from 'vitest';

import { pathFilter } from './path-filter.ts';
import { branchFilter, tagFilter } from './ref-filter.ts';

test('a branch pattern means branches, a tag pattern tags, and a star does not stop at a slash', () => {
  expect(branchFilter('*')('refs/heads/feature/a/b')).toBe(true);
  expect(branchFilter('feature/*')('refs/heads/feature/a/b')).toBe(true);
  expect(branchFilter('main')('refs/heads/main')).toBe(true);
  expect(branchFilter('main')('refs/heads/not-main')).toBe(false);
  expect(branchFilter('v*')('refs/tags/v1')).toBe(false);
  expect(tagFilter('v*')('refs/tags/v1.0.0')).toBe(true);
  expect(tagFilter('v*')('refs/heads/v1.0.0')).toBe(false);
});

test('a path filter takes folders, files and globs, and leaves out what is excluded', () => {
  const accepts = pathFilter({
    include: ['services/web', 'libs/*/index.js', '*.json'],
    exclude: ['**/*.md', 'services/web/docs'],
  });
  expect(
    [
      'services/web/a.js',
      'services/web/docs/a.js',
      'services/web/README.md',
      'libs/x/index.js',
      'package.json',
      'libs/package.json',
    ].map(accepts),
  ).toEqual([true, false, false, true, true, false]);
  expect(pathFilter({ include: ['.'] })('any/thing')).toBe(true);
  expect(pathFilter({ include: [] })('any/thing')).toBe(false);
});
