import { readFileSync } from 'node:fs';

import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

import { families } from './families.ts';
import { jsonSchemaOf } from './json-schema.ts';

const accepts = new Ajv2020({ strict: false, formats: { date: true } }).compile(jsonSchemaOf(families));
const shop = (): unknown => parse(readFileSync(new URL('../../examples/shop/towpath.yaml', import.meta.url), 'utf8'));

test('the schema beside the code is current; after a change, run this test with --update', async () => {
  const text = `${JSON.stringify(jsonSchemaOf(families), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../schema/towpath.schema.json');
});

test('an editor accepts the example', () => {
  accepts(shop());
  expect(accepts.errors).toBeNull();
});

test.each([
  ['an unknown key', 'web', { prot: 3000 }],
  ['a wrong type', 'web', { port: '3000' }],
  ['an unknown builder', 'web', { build: { nod: { start: 'a' } } }],
  ['a bad duration', 'web', { health: { path: '/', interval: 'soon' } }],
  ['a bad word', 'web', { checks: { unit: { run: 'a', during: 'never' } } }],
  ['a bad name', 'Web_1', { path: 'a', build: 'dockerfile' }],
])('an editor refuses %s', (_, service, change) => {
  const { services, ...rest } = shop() as { services: Record<string, object> };
  const changed = { ...rest, services: { ...services, [service]: { ...services[service], ...change } } };
  expect(accepts(changed)).toBe(false);
});

test('the guide names every key', () => {
  const guide = ['configuration.md', 'quality-gates.md', 'gitops.md']
    .map((page) => readFileSync(new URL(`../../docs/guide/${page}`, import.meta.url), 'utf8'))
    .join('');
  const keys = new Set<string>();
  JSON.stringify(jsonSchemaOf(families), (key, value: unknown) => {
    if (key === 'properties' && typeof value === 'object' && value !== null)
      for (const name of Object.keys(value)) keys.add(name);
    return value;
  });
  const missing = [...keys].filter((key) => !new RegExp(`\\b${key}\\b`).test(guide));
  expect(missing).toEqual([]);
  expect(keys.size).toBeGreaterThan(50);
});
