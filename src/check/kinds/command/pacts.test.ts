import { expect, test } from 'vitest';
import { z } from 'zod';

import type { Pact } from '../../report/pact.ts';
import { pactFields, sayPacts } from './pacts.ts';
import type { Said } from './reports.ts';

const WISH = z.strictObject(pactFields);

function pactOf(consumer: string, provider: string): string {
  return JSON.stringify({
    consumer: { name: consumer },
    provider: { name: provider },
    interactions: [{ description: 'a' }, { description: 'b' }],
  });
}

async function say(files: Readonly<Record<string, string>>, wish: unknown = 'pacts') {
  const kept: Pact[] = [];
  const { pacts } = WISH.parse({ pacts: wish });
  if (pacts === undefined) throw new Error('No wish.');
  const said: Said = await sayPacts(
    {
      list: async () => Object.keys(files),
      read: async (path) => {
        const text = files[path.replace(`${pacts.in}/`, '')];
        return text === undefined ? { wrong: 'is not there' } : { text };
      },
    },
    pacts,
    { service: 'web', keepPact: async (pact) => void kept.push(pact) },
  );
  return { ...said, kept };
}

test('each pact that a program wrote is kept, and told with the service that is meant', async () => {
  const { kept, ...said } = await say(
    { 'README.md': 'x', 'one.json': pactOf('Shop', 'Order API'), 'two.json': pactOf('web', 'stock') },
    { in: 'build/pacts', names: { Shop: 'web', 'Order API': 'orders' } },
  );
  expect(said).toMatchObject({
    verdict: 'passed',
    words: 'pacts with orders (2), stock (2)',
    told: { pacts: [{ provider: 'orders', digest: kept[0]?.digest, interactions: 2 }, { provider: 'stock' }] },
  });
  expect(kept.map(({ provider }) => provider)).toEqual(['Order API', 'stock']);
});

test.each<[string, Readonly<Record<string, string>>, RegExp]>([
  ['none', { 'pact.log': '' }, /^it wrote no pact into pacts$/],
  ['what is no pact', { 'a.json': '{' }, /^its pact a.json is not JSON$/],
  [
    'one of another service',
    { 'a.json': pactOf('app', 'api') },
    /^its pact a.json is one of "app", and this is a check of "web"$/,
  ],
  [
    'one with a name of no service',
    { 'a.json': pactOf('web', 'Order API') },
    /^its pact a.json is one with "Order API", and no service can be called so/,
  ],
  [
    'two with one provider',
    { 'a.json': pactOf('web', 'api'), 'b.json': pactOf('web', 'api') },
    /more than one pact with "api": b.json is the second$/,
  ],
  [
    'a hundred and one',
    Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`${i}.json`, pactOf('web', 'api')])),
    /^it wrote 101 pacts, more than 100$/,
  ],
])('a program that wrote %s gives no answer', async (_, files, words) => {
  expect(await say(files)).toMatchObject({ verdict: 'error', words: expect.stringMatching(words) as string, told: {} });
});

test.each([['.'], ['../pacts'], ['/pacts'], [{ in: 'pacts', names: { api: 'Not A Name' } }], [{ names: {} }]])(
  'what is no folder of the service is refused: %j',
  (pacts) => {
    expect(WISH.safeParse({ pacts }).success).toBe(false);
  },
);
