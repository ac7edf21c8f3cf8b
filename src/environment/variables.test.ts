import fc from 'fast-check';
import { expect, test } from 'vitest';

import { interpolate, PLACEHOLDERS, placeholdersOf } from './variables.ts';

const variables = {
  branch: { name: 'feature/a$b', slug: 'feature-a-b-12345678' },
  environment: { name: 'preview' },
  release: { commit: '4f2a91c', tag: null },
};

test('a placeholder is filled in', () => {
  expect(interpolate('${branch.slug}_${environment.name}/${release.commit}', variables)).toBe(
    'feature-a-b-12345678_preview/4f2a91c',
  );
});

test('the name of a branch is data: what it holds is not filled in again', () => {
  const branch = { name: '${release.commit}$&', slug: 'x' };
  expect(interpolate('<${branch.name}>', { ...variables, branch })).toBe('<${release.commit}$&>');
});

test('a value that is not there is refused, never left empty', () => {
  expect(() => interpolate('${release.tag}', variables)).toThrow(/has no such value/);
  expect(() => interpolate('${branch.slug}', { ...variables, branch: null })).toThrow(/has no such value/);
  expect(() => interpolate('${toString}', variables)).toThrow(/has no such value/);
});

test('an unknown placeholder is named with the nearest one', () => {
  expect(placeholdersOf('a ${branch.slag} b')).toEqual([
    { name: 'branch.slag', wrong: expect.stringContaining('nearest is ${branch.slug}') },
  ]);
  expect(placeholdersOf('${branch.slug')).toEqual([{ name: 'branch.slug', wrong: 'a `}` after `${`' }]);
  expect(placeholdersOf('$ {a} $a {}')).toEqual([]);
});

test('a text whose placeholders are all known and have values is always filled in', () => {
  const piece = fc.oneof(
    fc.constantFrom(...PLACEHOLDERS).map((name) => `\${${name}}`),
    fc.string().filter((text) => !text.includes('$') && !text.includes('{')),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const release = { commit: 'c', tag: 'v1' };
      expect(placeholdersOf(pieces.join('')).every(({ wrong }) => wrong === undefined)).toBe(true);
      expect(interpolate(pieces.join(''), { ...variables, release })).not.toContain('${');
    }),
  );
});
