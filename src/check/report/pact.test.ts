import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { PACT_LIMIT_BYTES, parsePact } from './pact.ts';

const VERSIONS = ['v1', 'v2', 'v3', 'v4'] as const;

function fixture(version: (typeof VERSIONS)[number]): string {
  return readFileSync(new URL(`../../../fixtures/pact/${version}.json`, import.meta.url), 'utf8');
}

async function digestOf(text: string): Promise<string> {
  const read = await parsePact(text);
  return 'wrong' in read ? read.wrong : read.digest;
}

test.each(VERSIONS)('a pact that Pact wrote in %s of the specification is read', async (version) => {
  const text = fixture(version);
  expect(await parsePact(text)).toEqual({
    consumer: 'web',
    provider: 'api',
    interactions: 1,
    digest: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    text,
  });
});

test('what is expected makes a pact, and neither what wrote it nor the order of tests nor that of keys', async () => {
  const { interactions, metadata, ...rest } = JSON.parse(fixture('v4')) as Record<string, object>;
  const [one] = interactions as [object];
  const other = { ...one, description: 'the price of coffee' };
  const written = (of: object[], more = {}): string => JSON.stringify({ interactions: of, metadata, ...rest, ...more });
  const digest = await digestOf(written([one, other]));
  expect(await digestOf(written([other, one]))).toBe(digest);
  expect(await digestOf(written([one, other], { metadata: { ...metadata, 'pact-js': { version: '99' } } }))).toBe(
    digest,
  );
  expect(await digestOf(written([one]))).not.toBe(digest);
  expect(await digestOf(written([one, other], { provider: { name: 'other' } }))).not.toBe(digest);
  expect(new Set(await Promise.all(VERSIONS.map((version) => digestOf(fixture(version)))))).toHaveLength(4);
});

const named = { consumer: { name: 'web' }, provider: { name: 'api' } };
const asked = { ...named, interactions: [{ description: 'tea' }] };

test.each<[string, unknown, RegExp]>([
  ['no JSON', '{', /^is not JSON$/],
  ['a list', [], /^is no pact/],
  ['nobody', { interactions: [] }, /^is no pact \(consumer/],
  ['a name with a NUL', { ...asked, consumer: { name: 'a\0' } }, /^is no pact \(consumer.name/],
  ['a name without end', { ...asked, consumer: { name: 'a'.repeat(201) } }, /^is no pact \(consumer.name/],
  ['nothing that is expected', named, /^expects nothing$/],
  [
    'another version',
    { ...asked, metadata: { pactSpecification: { version: '5.0' } } },
    /^is of version "5.0" of the spec/,
  ],
  ['plug-ins', { ...asked, metadata: { plugins: [{ name: 'protobuf' }] } }, /^wants plug-ins of Pact/],
  [
    'a number that is none',
    JSON.stringify({ ...asked, x: 7 }).replace('"tea"', '"tea", "price": 1e999'),
    /a number that is too big/,
  ],
  [
    'a thousand levels',
    `{"consumer":{"name":"web"},"provider":{"name":"api"},"interactions":[{"description":"a","x":${'['.repeat(20_000)}${']'.repeat(20_000)}}]}`,
    /^is nested too deeply$/,
  ],
  ['too much', `"${'x'.repeat(PACT_LIMIT_BYTES)}"`, /^is too big$/],
])('a pact with %s is told', async (_, content, wrong) => {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  expect(await parsePact(text)).toEqual({ wrong: expect.stringMatching(wrong) as string });
});

test('whatever a file holds is read or told, and never thrown', async () => {
  const anyPart = fc.anything({ withNullPrototype: false, withBigInt: false });
  const anyFile = fc.oneof(
    fc.json(),
    fc.string(),
    fc
      .record({ consumer: anyPart, provider: anyPart, interactions: anyPart, metadata: anyPart })
      .map((file) => JSON.stringify(file)),
    fc
      .record({ interactions: fc.array(anyPart), metadata: anyPart })
      .map((file) => JSON.stringify({ ...named, ...file })),
  );
  await fc.assert(
    fc.asyncProperty(anyFile, async (text) => {
      const read = await parsePact(text);
      expect('wrong' in read ? typeof read.wrong : typeof read.digest).toBe('string');
    }),
    cases(200),
  );
});
