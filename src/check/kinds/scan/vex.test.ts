import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { cases } from '../../../lib/testing/cases.ts';
import type { Vulnerability } from './scanner.ts';
import { allowanceByVex, parseVex, type Vex, type VexStatement } from './vex.ts';

const IMAGE = sha256('the image');
const IN_IMAGE = `pkg:oci/web@${IMAGE.replace(':', '%3A')}?repository_url=registry.test/shop`;
const FOUND: Vulnerability = {
  installed: { ecosystem: 'npm', name: '@shop/ip', version: '1.1.8', called: '@shop/ip', where: 'app' },
  id: 'GHSA-78xj-cgh5-2h22',
  aliases: ['CVE-2023-42282'],
  rating: 'high',
  fixed: [],
};
const LIBSSL: Vulnerability = {
  ...FOUND,
  installed: { ecosystem: 'Debian:12', name: 'openssl', version: '3.0.11-1~deb12u2', called: 'libssl3', where: 'dpkg' },
};

const statement = (patch: object = {}): unknown => ({
  vulnerability: { name: 'CVE-2023-42282' },
  products: [{ '@id': 'pkg:npm/%40shop/ip@1.1.8' }],
  status: 'not_affected',
  justification: 'vulnerable_code_not_in_execute_path',
  ...patch,
});

test('a document says who answers for what, why and until when', async () => {
  expect(await allowed([statement()])).toEqual({
    id: 'GHSA-78xj-cgh5-2h22',
    owner: 'olga',
    reason: 'not_affected, vulnerable_code_not_in_execute_path (vex.json)',
    untilMs: 5,
  });
});

test.each<[string, object, boolean]>([
  ['of the advisory itself', { vulnerability: { name: 'GHSA-78xj-cgh5-2h22' } }, true],
  ['by an alias, and in the old form', { vulnerability: { name: 'X-1', aliases: ['CVE-2023-42282'] } }, true],
  ['of another', { vulnerability: 'CVE-2020-1' }, false],
  ['fixed by a patch', { status: 'fixed' }, true],
  ['still looked into', { status: 'under_investigation' }, false],
  ['affected', { status: 'affected' }, false],
  ['of any version', { products: ['pkg:npm/%40shop/ip'] }, true],
  ['of any version, with a qualifier', { products: [{ identifiers: { purl: 'pkg:npm/@shop/ip?arch=any' } }] }, true],
  ['of another version', { products: ['pkg:npm/%40shop/ip@1.1.9'] }, false],
  ['of another package', { products: ['pkg:npm/ip@1.1.8'] }, false],
  ['of no product', { products: [] }, false],
  ['of this image', { products: [{ '@id': IN_IMAGE }] }, true],
  [
    'of this package in an image',
    { products: [{ '@id': IN_IMAGE, subcomponents: [{ '@id': 'pkg:npm/%40shop/ip' }] }] },
    true,
  ],
  ['of another package in this image', { products: [{ '@id': IN_IMAGE, subcomponents: ['pkg:npm/a@1.0.0'] }] }, false],
  ['of another image', { products: [IN_IMAGE.replace(/sha256%3A\w{4}/, 'sha256%3A0000')] }, false],
  ['of an image by its name', { products: ['pkg:oci/web'] }, false],
])('a word %s', async (_, patch, allows) => {
  expect((await allowed([statement(patch)])) !== null).toBe(allows);
});

test('packages of a distribution are known by themselves or by their source', async () => {
  for (const purl of [
    'pkg:deb/debian/libssl3@3.0.11-1~deb12u2',
    'pkg:deb/debian/openssl',
    'pkg:deb/debian/libssl3?upstream=openssl',
  ])
    expect(await allowed([statement({ products: [purl] })], LIBSSL)).not.toBe(null);
  expect(await allowed([statement({ products: ['pkg:apk/alpine/openssl'] })], LIBSSL)).toBe(null);
});

test('the last word counts, and of two at once the one that allows nothing', async () => {
  const at = (minute: number, status: string): unknown =>
    statement({ status, timestamp: `2026-01-01T00:0${minute}:00Z` });
  expect(await allowed([at(1, 'not_affected'), at(2, 'affected')])).toBe(null);
  expect(await allowed([at(2, 'not_affected'), at(1, 'affected')])).not.toBe(null);
  expect(await allowed([at(1, 'not_affected'), at(1, 'affected')])).toBe(null);
});

test('a word that allows nothing, said last, never allows more', () => {
  const anyStatement = fc.record({
    vulnerability: fc.constantFrom('CVE-2023-42282', 'CVE-2020-1').map((name) => ({ name, aliases: [] })),
    products: fc.constantFrom('pkg:npm/%40shop/ip', 'pkg:npm/a').map((id) => [{ '@id': id, subcomponents: [] }]),
    status: fc.constantFrom('not_affected' as const, 'fixed' as const, 'affected' as const),
    atMs: fc.nat(3),
  });
  fc.assert(
    fc.property(fc.array(anyStatement, { maxLength: 5 }), anyStatement, (before, last) => {
      const of = (statements: readonly VexStatement[]) => allowanceByVex(FOUND, IMAGE, [document(statements)]);
      const after = of([...before, { ...last, status: 'affected', atMs: 4 }]);
      if (of(before) === null) expect(after).toBe(null);
    }),
    cases(200),
  );
});

test.each([
  ['not JSON', 'vex', 'is not JSON'],
  ['CSAF', '{"document":{}}', 'is no OpenVEX'],
  ['a document without a word', JSON.stringify(written([])), 'is no OpenVEX (statements'],
  ['a status that is not known', JSON.stringify(written([statement({ status: 'fine' })])), 'is no OpenVEX'],
])('%s counts nothing', async (_, text, wrong) => {
  expect(await parseVex(text)).toEqual({ wrong: expect.stringContaining(wrong) as string });
});

async function allowed(statements: readonly unknown[], found = FOUND) {
  const parsed = await parseVex(JSON.stringify(written(statements)));
  if ('wrong' in parsed) throw new Error(parsed.wrong);
  return allowanceByVex(found, IMAGE, [document(parsed)]);
}

function written(statements: readonly unknown[]): object {
  const head = { '@context': 'https://openvex.dev/ns/v0.2.0', '@id': 'https://shop.example/vex/1', author: 'olga' };
  return { ...head, timestamp: '2026-01-01T00:00:00Z', version: 1, statements };
}

function document(statements: readonly VexStatement[]): Vex {
  return { file: 'vex.json', owner: 'olga', untilMs: 5, statements };
}
