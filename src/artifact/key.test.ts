import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sha256Hex } from '../lib/digest.ts';
import { describeDifference, differenceOf } from './key-difference.ts';
import { artifactKey } from './key.ts';
import type { KeyInputs } from './key.ts';

const name = fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' });
const hex64 = fc.string().map((seed) => sha256Hex(seed));
const entry = fc.record({
  path: name,
  mode: fc.constantFrom('100644' as const, '100755' as const, '120000' as const),
  oid: hex64.map((hex) => hex.slice(0, 40)),
});
const inputs: fc.Arbitrary<KeyInputs> = fc.record({
  kind: fc.constantFrom('image' as const, 'base' as const, 'zip' as const),
  builder: fc.record({ name, version: name }),
  platform: fc.constantFrom('linux/amd64', 'linux/arm64'),
  definition: fc.jsonValue().filter((value) => value !== undefined),
  trees: fc.uniqueArray(entry, { selector: ({ path }) => path, maxLength: 8 }),
  parents: fc.dictionary(name, hex64, { maxKeys: 3 }),
  pins: fc.dictionary(
    name,
    hex64.map((hex) => `sha256:${hex}` as const),
    { maxKeys: 3 },
  ),
  checks: fc.dictionary(name, hex64, { maxKeys: 3 }),
});

test('the order in which entries and names are given does not matter', () => {
  fc.assert(
    fc.property(inputs, (given) => {
      const turned: KeyInputs = {
        checks: turn(given.checks),
        pins: turn(given.pins),
        parents: turn(given.parents),
        trees: [...given.trees].reverse(),
        definition:
          typeof given.definition === 'object' ? JSON.parse(JSON.stringify(given.definition)) : given.definition,
        platform: given.platform,
        builder: { version: given.builder.version, name: given.builder.name },
        kind: given.kind,
      };
      expect(artifactKey(turned)).toBe(artifactKey(given));
    }),
  );
});

test('what is not an input (commit, branch, folder, time, umask) cannot get in', () => {
  fc.assert(
    fc.property(inputs, fc.dictionary(name, fc.jsonValue()), (given, more) => {
      const noisy = {
        ...more,
        ...given,
        trees: given.trees.map((tree) => ({ ...tree, size: 3, folder: '/somewhere' })),
        builder: { ...given.builder, startedAt: 17 },
      };
      expect(artifactKey(noisy)).toBe(artifactKey(given));
    }),
  );
});

test('two builds share a key exactly when nothing differs between their inputs', () => {
  fc.assert(
    fc.property(inputs, inputs, (one, other) => {
      expect(artifactKey(one) === artifactKey(other)).toBe(differenceOf(one, other).length === 0);
      expect(differenceOf(one, one)).toEqual([]);
    }),
  );
});

test('any single changed input gives another key, and the difference names it', () => {
  const changes: fc.Arbitrary<(given: KeyInputs) => KeyInputs> = fc.constantFrom<(given: KeyInputs) => KeyInputs>(
    (given) => ({ ...given, kind: given.kind === 'zip' ? 'image' : 'zip' }),
    (given) => ({ ...given, builder: { ...given.builder, version: `${given.builder.version}x` } }),
    (given) => ({ ...given, builder: { ...given.builder, name: `${given.builder.name}x` } }),
    (given) => ({ ...given, platform: `${given.platform}/v8` }),
    (given) => ({ ...given, definition: [given.definition] }),
    (given) => ({ ...given, trees: [...given.trees, { path: 'quite/new', mode: '100644', oid: 'a'.repeat(40) }] }),
    (given) => ({ ...given, parents: { ...given.parents, 'quite/new': 'b'.repeat(64) } }),
    (given) => ({ ...given, pins: { ...given.pins, 'quite/new': `sha256:${'c'.repeat(64)}` } }),
    (given) => ({ ...given, checks: { ...given.checks, 'quite/new': 'd'.repeat(64) } }),
  );
  fc.assert(
    fc.property(inputs, changes, (given, change) => {
      const changed = change(given);
      expect(artifactKey(changed)).not.toBe(artifactKey(given));
      expect(differenceOf(given, changed)).toHaveLength(1);
      expect(differenceOf(given, changed).map((difference) => describeDifference(difference))[0]).not.toBe('');
    }),
  );
});

test('a change of mode, of content or of name of any entry gives another key', () => {
  fc.assert(
    fc.property(
      inputs.filter(({ trees }) => trees.length > 0),
      fc.nat(),
      (given, at) => {
        const index = at % given.trees.length;
        const other = (patch: (tree: KeyInputs['trees'][number]) => KeyInputs['trees'][number]): KeyInputs => ({
          ...given,
          trees: given.trees.map((tree, place) => (place === index ? patch(tree) : tree)),
        });
        const keys = [
          artifactKey(given),
          artifactKey(other((tree) => ({ ...tree, mode: tree.mode === '100644' ? '100755' : '100644' }))),
          artifactKey(other((tree) => ({ ...tree, oid: sha256Hex(tree.oid) }))),
          artifactKey(other((tree) => ({ ...tree, path: `quite/new/${tree.path}` }))),
        ];
        expect(new Set(keys).size).toBe(keys.length);
      },
    ),
  );
});

test('a path that is listed twice is refused', () => {
  const twice = { path: 'a', mode: '100644', oid: 'a'.repeat(40) } as const;
  expect(() => artifactKey({ ...plain, trees: [twice, twice] })).toThrow('listed twice');
});

test('the key of a build never changes by accident', () => {
  expect(artifactKey(plain)).toBe('b22837daf3aad87b16f7d40a9fdc30ea9838b29aa26936b327baa908eade1f3d');
});

test('a difference reads as a sentence', () => {
  const after: KeyInputs = {
    ...plain,
    definition: { start: ['node', 'other.js'] },
    trees: [{ path: 'server.js', mode: '100755', oid: 'a'.repeat(40) }],
    pins: { 'node:22': `sha256:${'2'.repeat(64)}` },
    checks: { unit: 'f'.repeat(64) },
  };
  expect(differenceOf(plain, after).map((difference) => describeDifference(difference))).toEqual([
    'server.js changed its mode',
    'the build section differs at /start: ["node","server.js"] became ["node","other.js"]',
    `the pin of node:22 moved: sha256:${'1'.repeat(64)} became sha256:${'2'.repeat(64)}`,
    'the check "unit" of the build, or its tests, changed',
  ]);
});

const plain: KeyInputs = {
  kind: 'image',
  builder: { name: 'node', version: '1' },
  platform: 'linux/amd64',
  definition: { start: ['node', 'server.js'] },
  trees: [{ path: 'server.js', mode: '100644', oid: 'a'.repeat(40) }],
  parents: {},
  pins: { 'node:22': `sha256:${'1'.repeat(64)}` },
  checks: { unit: 'e'.repeat(64) },
};

function turn<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).reverse());
}
