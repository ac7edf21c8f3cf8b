import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';

import { sha256 } from '../../../lib/digest.ts';
import type { CheckAnswer, CheckRequest, CheckTools } from '../../kind.ts';
import type { Pact } from '../../report/pact.ts';
import { CONSUMER_TEST, PACT_LIBRARY, PROVIDER } from '../../testing/contract.ts';
import { copyingRunner } from '../../testing/copying-runner.ts';
import { memorySource } from '../../testing/source.ts';
import { command } from '../command/command.ts';
import { pact } from './pact.ts';
import { answerOfResults } from './results.ts';

let home: string;
const runner = copyingRunner();
const kept: Pact[] = [];
const lines: string[] = [];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'pact-kind-'));
  await mkdir(join(home, 'rootfs/app'), { recursive: true });
  await writeFile(join(home, 'rootfs/app/server.js'), PROVIDER);
  const written = await ask(
    command,
    'web',
    { run: 'node test/contract.js', pacts: 'pacts', env: { PACT_LIBRARY } },
    {
      files: { 'test/contract.js': CONSUMER_TEST },
      keepPact: async (one) => void kept.push(one),
    },
  );
  expect(written).toMatchObject({
    verdict: 'passed',
    summary: 'pacts with api (1)',
    pacts: [{ provider: 'api', digest: kept[0]?.digest, interactions: 1 }],
  });
});
afterAll(() => rm(home, { recursive: true, force: true }));

test('a provider that keeps to what a consumer expects passes, by the word of Pact itself', async () => {
  const answer = await verify({});
  expect(answer).toMatchObject({
    verdict: 'passed',
    summary: 'it keeps to what web expects (1)',
    contract: { consumer: 'web', digest: kept[0]?.digest, broken: [] },
  });
  expect(lines.join('\n')).toMatch(/Verifying a pact between web and api/);
  // neither the provider nor a folder is left behind
  expect(runner.left()).toBe(0);
  expect(await readdir(join(home, 'work'))).toEqual([]);
});

test('one that does not is refused with the interaction and what is wrong with it', async () => {
  expect(await verify({ env: { PRICE: '"4"' } })).toMatchObject({
    verdict: 'failed',
    summary: `it breaks what web expects: "the price of tea": $.price: Expected '4' (String) to be a number`,
    contract: { broken: [{ interaction: 'the price of tea', why: expect.stringContaining('$.price') as string }] },
  });
});

test.each<[string, Record<string, unknown>, string, RegExp]>([
  [
    'ends when it is asked',
    { env: { ENDS: '1' } },
    'failed',
    /error sending request.*ended meanwhile with exit code 3/,
  ],
  [
    'does not take a state',
    { pact: { states: '/states' }, env: { STATES: '500' } },
    'error',
    /a state could not be brought about/,
  ],
  [
    'ends before it answers',
    { pact: { run: 'node none.js' } },
    'error',
    /it ended before it answered with exit code 1/,
  ],
  [
    'never answers',
    { pact: { run: ['node', '-e', 'setTimeout(() => 0, 60000)'], within: '0s' } },
    'error',
    /did not answer within 0 s/,
  ],
])('a provider that %s is told', async (_, fields, verdict, words) => {
  expect(await verify(fields)).toMatchObject({ verdict, summary: expect.stringMatching(words) as string });
  expect(runner.left()).toBe(0);
});

test('a provider is told the states where it takes them, and may be started by its tests', async () => {
  const run = 'node test/provider.js';
  const files = { 'test/provider.js': `process.env.STATES = '200'; ${PROVIDER}` };
  expect(await verify({ pact: { run, states: '/states' } }, files)).toMatchObject({ verdict: 'passed' });
});

test('who calls it off is heard while it starts and while it is verified', async () => {
  const ending = new AbortController();
  const asked = verify({ pact: { run: ['node', '-e', 'setTimeout(() => 0, 60000)'] } }, {}, ending.signal);
  ending.abort();
  await expect(asked).rejects.toThrow(/abort/i);
  expect(runner.left()).toBe(0);
});

test.each<[string, string | null, string]>([
  ['nothing', null, 'error'],
  ['no JSON', 'Pact core crashed', 'error'],
  ['another shape', '{"result":"true"}', 'error'],
  ['nothing verified', '{"result":true,"interactionResults":[]}', 'error'],
  [
    'only what is pending',
    '{"result":true,"interactionResults":[{"description":"a","result":"Error"}],"pendingErrors":[{}]}',
    'error',
  ],
  [
    'a yes with errors',
    '{"result":true,"errors":[{"interaction":"a","mismatch":{"type":"error","message":"no"}}]}',
    'failed',
  ],
  ['a no without errors', '{"result":false,"errors":[]}', 'failed'],
])('a verifier that says %s gives no pass', (_, json, verdict) => {
  expect(answerOfResults(json, { consumer: 'web', digest: 'd' })).toMatchObject({ verdict });
});

function verify(
  { pact: wish, ...fields }: Record<string, unknown>,
  files: Parameters<typeof memorySource>[0] = {},
  signal = new AbortController().signal,
): Promise<CheckAnswer> {
  const [one] = kept;
  if (one === undefined) throw new Error('No pact was kept.');
  const given = { consumer: 'web', digest: one.digest, text: async () => one.text };
  return ask(pact, 'api', { pact: { port: 3000, ...Object(wish) }, ...fields }, { files, pact: given, signal });
}

async function ask(
  kind: typeof pact,
  service: string,
  fields: Record<string, unknown>,
  { files, ...more }: { readonly files: Parameters<typeof memorySource>[0] } & Partial<CheckRequest<unknown>>,
): Promise<CheckAnswer> {
  const config = { entrypoint: ['node', 'server.js'], command: [], env: {}, workdir: '/app', user: '' };
  const tools: CheckTools = {
    runner,
    image: async () => ({ reference: `r/${service}@${sha256(service)}`, rootfs: join(home, 'rootfs'), config }),
    directory: join(home, 'work'),
    sonar: null,
  };
  return kind.ask(
    {
      definition: z.strictObject(kind.fields).parse(fields),
      check: 'contracts',
      service,
      digest: sha256(service),
      commit: '4f2a91c',
      source: memorySource(files),
      parts: [],
      urls: {},
      name: 'check-1',
      timeoutMs: 60_000,
      log: (line) => lines.push(line),
      signal: new AbortController().signal,
      ...more,
    },
    tools,
  );
}
