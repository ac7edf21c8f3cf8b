import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Agent } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

import { sha256 } from '../../../lib/digest.ts';
import { problemOf } from '../../../lib/error.ts';
import type { CheckAnswer } from '../../kind.ts';
import type { OutsideServer } from '../../server.ts';
import { ServersSchema } from '../../server.ts';
import { copyingRunner } from '../../testing/copying-runner.ts';
import { memorySource } from '../../testing/source.ts';
import { answerOf, sonar } from './sonar.ts';

const GOOD = '4f2a91c0d3b5e6f708192a3b4c5d6e7f80912a3b';
const BAD = 'b7e6f708192a3b4c5d6e7f80912a3b4f2a91c0d3';
const UNKNOWN = '0'.repeat(40);
const TOKEN = 'squ_canary';

/** What SonarQube 9.9 answered to these very questions. */
const recorded: Readonly<Record<string, string>> = {
  '/api/project_analyses/search?project=shop%3Aweb&ps=500': 'analyses.json',
  '/api/qualitygates/project_status?analysisId=AaIpLRYLz98Huo0uoCpX': 'status-ok.json',
  '/api/qualitygates/project_status?analysisId=AaIpL2Ywz98Huo0uoCsT': 'status-error.json',
  '/api/ce/component?component=shop%3Aweb': 'component.json',
};

test('the gate that was computed for the very commit is the answer', async () => {
  const lines: string[] = [];
  const url = await sonarQube();
  expect(await ask('shop:web', GOOD, url)).toEqual({ verdict: 'passed', summary: 'the quality gate passed' });
  expect(await ask({ project: 'shop:web' }, BAD, `${url}/`, lines)).toEqual({
    verdict: 'failed',
    summary: 'the quality gate failed: new_reliability_rating is 3, at most 1; bugs is 1, at most 0',
  });
  expect(lines).toContain('bugs: 1 ERROR');
  expect(lines.join()).not.toContain(TOKEN);
});

test('without an analysis of the commit there is no answer yet', async () => {
  const url = await sonarQube();
  expect(await refusal(ask('shop:web', UNKNOWN, url))).toMatchObject({
    code: 'check.not-yet',
    what: 'SonarQube has no analysis of commit 0000000 in shop:web.',
    fix: expect.stringContaining(`sonar.scm.revision=${UNKNOWN}`) as string,
  });
  expect(await refusal(ask('no:such', UNKNOWN, url))).toMatchObject({ code: 'check.not-yet' });
});

test.each([
  ['is being worked on', { queue: [{ id: 'A', status: 'IN_PROGRESS' }] }, /a report is being worked on/],
  ['could not be worked on', { queue: [], current: { status: 'FAILED' } }, /could not be worked on/],
])('a report that %s is told', async (_, work, what) => {
  const url = await serve((request, response) => {
    if (request.url?.startsWith('/api/ce/') === true) response.end(JSON.stringify(work));
    else answer(request, response);
  });
  expect((await refusal(ask('shop:web', UNKNOWN, url))).what).toMatch(what);
});

test('no gate, or one of a state that is not known, is never a pass', () => {
  for (const status of ['NONE', 'WARN', 'ok', ''])
    expect(answerOf({ status, conditions: [] })).toMatchObject({ verdict: 'error' });
  expect(answerOf({ status: 'ERROR', conditions: [] })).toEqual({
    verdict: 'failed',
    summary: 'the quality gate failed',
  });
});

test.each<[string, (response: ServerResponse) => unknown, string]>([
  ['refuses the token', (response) => response.writeHead(401).end(), 'check.server-refused'],
  ['does not let it browse', (response) => response.writeHead(403).end(), 'check.server-refused'],
  ['is starting', (response) => response.writeHead(503).end(), 'check.server-unavailable'],
  ['leads elsewhere', (response) => response.writeHead(302, { location: '/' }).end(), 'check.server-unavailable'],
  ['answers a page', (response) => response.end('<html>'), 'check.server-unavailable'],
  ['answers another shape', (response) => response.end('{"analyses":{}}'), 'check.server-unavailable'],
  ['breaks off', (response) => response.destroy(), 'check.server-unavailable'],
  ['answers without end', (response) => response.end(Buffer.alloc(5_000_000, 32)), 'check.server-unavailable'],
])('a server that %s says nothing of the release', async (_, misbehave, code) => {
  const url = await serve((_request, response) => misbehave(response));
  const problem = await refusal(ask('shop:web', GOOD, url));
  expect(problem).toMatchObject({ code });
  expect(JSON.stringify(problem)).not.toContain(TOKEN);
});

test('where the default branch names no server, that is said', async () => {
  expect(await refusal(ask('shop:web', GOOD, null))).toMatchObject({ code: 'check.no-server' });
});

test('a server is named by its address alone, and its token by a reference', () => {
  const token = 'env:SONAR_TOKEN';
  expect(ServersSchema.safeParse({ sonar: { url: 'https://sonar.corp.example/base', token } }).success).toBe(true);
  for (const url of ['ftp://sonar', 'sonar', 'https://squ_token@sonar.example', 'https://sonar.example/?a=b'])
    expect([url, ServersSchema.safeParse({ sonar: { url, token } }).success]).toEqual([url, false]);
  expect(ServersSchema.safeParse({ sonar: { url: 'https://sonar.example', token: TOKEN } }).success).toBe(false);
});

function answer(request: IncomingMessage, response: ServerResponse): void {
  const wanted = `Basic ${Buffer.from(`${TOKEN}:`).toString('base64')}`;
  if (request.headers.authorization !== wanted) return void response.writeHead(401).end();
  const file = recorded[request.url ?? ''];
  if (file === undefined) response.writeHead(404);
  response.end(readFileSync(new URL(`../../../../fixtures/sonar/${file ?? 'no-project.json'}`, import.meta.url)));
}

async function sonarQube(): Promise<string> {
  return serve(answer);
}

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ask(asked: unknown, commit: string, url: string | null, lines: string[] = []): Promise<CheckAnswer> {
  const agent = new Agent();
  onTestFinished(() => agent.destroy());
  const server: OutsideServer | null =
    url === null ? null : { url, token: () => Promise.resolve(TOKEN), agentFor: () => agent };
  return sonar.ask(
    {
      definition: z.strictObject(sonar.fields).parse({ sonar: asked }),
      check: 'quality',
      service: 'web',
      digest: sha256('web'),
      commit,
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
      image: () => Promise.reject(new Error('SonarQube needs no image')),
      directory: '/nowhere',
      sonar: server,
    },
  );
}

async function refusal(asking: Promise<unknown>): Promise<ReturnType<typeof problemOf>> {
  return asking.then(
    () => Promise.reject(new Error('it was answered')),
    (error: unknown) => problemOf(error),
  );
}
