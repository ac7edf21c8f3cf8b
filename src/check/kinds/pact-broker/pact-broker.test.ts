import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import fc from 'fast-check';
import { Agent } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

import { sha256 } from '../../../lib/digest.ts';
import { problemOf } from '../../../lib/error.ts';
import { cases } from '../../../lib/testing/cases.ts';
import type { CheckAnswer } from '../../kind.ts';
import { ServersSchema } from '../../server.ts';
import { copyingRunner } from '../../testing/copying-runner.ts';
import { memorySource } from '../../testing/source.ts';
import { answerOf, type BrokerAnswer, pactBroker } from './pact-broker.ts';

const COMMIT = '4f2a91c0d3b5e6f708192a3b4c5d6e7f80912a3b';
const TOKEN = 'canary';

test('a broker is asked for the commit in the environment, and its yes is one', async () => {
  const asked: IncomingMessage[] = [];
  const lines: string[] = [];
  const url = await broker('yes.json', asked);
  expect(await ask(url, { lines })).toEqual({
    verdict: 'passed',
    summary: 'the broker says yes: All required verification results are published and successful',
  });
  expect(asked[0]?.url).toBe(`/can-i-deploy?pacticipant=Web+Shop&environment=production&version=${COMMIT}`);
  expect(asked[0]?.headers.authorization).toBe(`Bearer ${TOKEN}`);
  expect(lines).toContain('Web 4f2a91c0d3b5 with Orders 9f3c: true');
  await ask(url, { user: 'towpath' });
  expect(asked[1]?.headers.authorization).toBe(`Basic ${Buffer.from(`towpath:${TOKEN}`).toString('base64')}`);
});

test('its no is told with both sides', async () => {
  expect(await ask(await broker('no.json'))).toEqual({
    verdict: 'failed',
    summary: 'the broker says no: Stock 77ab breaks what Web 4f2a91c0d3b5 expects',
  });
});

test.each([
  ['unknown.json', /There is no verified pact between .* Stock/],
  ['no-version.json', /No pacts or verifications have been published/],
])('what it does not know (%s) is no answer yet', async (file, why) => {
  expect(await refusal(ask(await broker(file)))).toMatchObject({
    code: 'check.not-yet',
    what: expect.stringMatching(why) as string,
    fix: expect.stringContaining(COMMIT) as string,
  });
});

test.each<[string, (response: ServerResponse) => unknown, string]>([
  ['knows no such application', (response) => response.writeHead(400).end('{"errors":{}}'), 'check.not-yet'],
  ['is another server', (response) => response.writeHead(404).end(), 'check.not-yet'],
  ['refuses the token', (response) => response.writeHead(401).end(), 'check.server-refused'],
  ['is starting', (response) => response.writeHead(503).end(), 'check.server-unavailable'],
  ['leads elsewhere', (response) => response.writeHead(302, { location: '/' }).end(), 'check.server-unavailable'],
  ['answers a page', (response) => response.end('<html>'), 'check.server-unavailable'],
  [
    'answers another shape',
    (response) => response.end('{"summary":{"deployable":"true"}}'),
    'check.server-unavailable',
  ],
  ['answers without end', (response) => response.end(Buffer.alloc(5_000_000, 32)), 'check.server-unavailable'],
])('a broker that %s says nothing of the release', async (_, misbehave, code) => {
  const problem = await refusal(ask(await serve((_request, response) => misbehave(response))));
  expect(problem).toMatchObject({ code });
  expect(JSON.stringify(problem)).not.toContain(TOKEN);
});

test('where the default branch names no broker, that is said', async () => {
  expect(await refusal(ask(null))).toMatchObject({ code: 'check.no-server' });
});

test('nothing but a yes without a failure is a pass', () => {
  const application = fc.record({ name: fc.constant('a'), version: fc.option(fc.constant({ number: '1' })) });
  const anyAnswer: fc.Arbitrary<BrokerAnswer> = fc.record({
    summary: fc.record({ deployable: fc.option(fc.boolean()), reason: fc.string(), failed: fc.nat(1) }),
    matrix: fc.array(
      fc.record({
        consumer: application,
        provider: application,
        verificationResult: fc.option(fc.record({ success: fc.boolean() })),
      }),
      { maxLength: 3 },
    ),
  });
  fc.assert(
    fc.property(anyAnswer, (answer) => {
      const { summary, matrix } = answer;
      const isBroken =
        summary.failed > 0 || matrix.some(({ verificationResult }) => verificationResult?.success === false);
      const expected = isBroken ? 'failed' : summary.deployable === true ? 'passed' : undefined;
      expect(answerOf(answer)?.verdict).toBe(expected);
    }),
    cases(200),
  );
});

test('a broker is named by its address alone, and its token by a reference', () => {
  const url = 'https://acme.pactflow.io';
  expect(ServersSchema.safeParse({ broker: { url, token: 'env:PACT_BROKER_TOKEN' } }).success).toBe(true);
  expect(ServersSchema.safeParse({ broker: { url, user: 'towpath', token: 'file:/run/secrets/broker' } }).success).toBe(
    true,
  );
  expect(ServersSchema.safeParse({ broker: { url, token: TOKEN } }).success).toBe(false);
  expect(ServersSchema.safeParse({ broker: { url: 'https://a:b@broker.example', token: 'env:A' } }).success).toBe(
    false,
  );
});

async function broker(file: string, asked: IncomingMessage[] = []): Promise<string> {
  return serve((request, response) => {
    asked.push(request);
    response.end(readFileSync(new URL(`../../../../fixtures/pact-broker/${file}`, import.meta.url)));
  });
}

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ask(
  url: string | null,
  { user = null, lines = [] }: { readonly user?: string | null; readonly lines?: string[] } = {},
): Promise<CheckAnswer> {
  const agent = new Agent();
  onTestFinished(() => agent.destroy());
  return pactBroker.ask(
    {
      definition: z
        .strictObject(pactBroker.fields)
        .parse({ broker: { pacticipant: 'Web Shop', environment: 'production' } }),
      check: 'contracts',
      service: 'web',
      digest: sha256('web'),
      commit: COMMIT,
      source: memorySource({}),
      parts: [],
      urls: {},
      name: 'check-1',
      timeoutMs: 60_000,
      log: (line) => lines.push(line),
      signal: new AbortController().signal,
    },
    {
      runner: copyingRunner(),
      image: () => Promise.reject(new Error('a broker needs no image')),
      directory: '/nowhere',
      sonar: null,
      broker: url === null ? null : { url, user, token: () => Promise.resolve(TOKEN), agentFor: () => agent },
    },
  );
}

async function refusal(asking: Promise<unknown>): Promise<ReturnType<typeof problemOf>> {
  return asking.then(
    () => Promise.reject(new Error('it was answered')),
    (error: unknown) => problemOf(error),
  );
}
