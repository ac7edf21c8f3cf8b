import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { IDENTITY_TOKEN } from '../http/testing/fake-use-cases.ts';
import { testServer, type TestServer } from '../http/testing/server.ts';
import { type Outcome, runLine } from './testing/run.ts';

const WORDS = `artifact report --service web --commit ${'c'.repeat(40)} --digest sha256:${'1'.repeat(64)}`;

let house: TestServer;
let server: string;
let directory: string;
let runner: Server;
/** What GitHub's runner was asked, and what it answers. */
let asked: string[];
let answer: { status: number; body: string };

beforeEach(async () => {
  house = await testServer();
  server = await house.listen();
  directory = await mkdtemp(join(tmpdir(), 'towpath-job-'));
  asked = [];
  answer = { status: 200, body: JSON.stringify({ count: 1, value: IDENTITY_TOKEN }) };
  runner = createServer(({ url, headers }, response) => {
    asked.push(`${url} ${headers.authorization}`);
    response.writeHead(answer.status).end(answer.body);
  }).listen(0, '127.0.0.1');
  await once(runner, 'listening');
});
afterEach(async () => {
  await house.server.close();
  runner.closeAllConnections();
  runner.close();
  await rm(directory, { recursive: true });
});

const report = (env: Record<string, string>, more: readonly string[] = []): Promise<Outcome> =>
  runLine([...WORDS.split(' '), ...more], { env: { TOWPATH_SERVER: server, TOWPATH_PROJECT: 'shop', ...env } });

/** As a job has it whose workflow says `id-token: write`. */
const onActions = (): Record<string, string> => ({
  ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(runner.address() as AddressInfo).port}/token?api-version=2.0`,
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'canary-runner',
});

const reporters = (): string[] => house.useCases.world.deeds.map(({ by }) => by);

test('a job on GitHub Actions reports by its identity, which it asks for by itself', async () => {
  expect(await report(onActions(), ['--wait'])).toMatchObject({ exit: 3 }); // as the fake has it
  expect(await report(onActions(), ['--oidc-audience', 'towpath & more'])).toMatchObject({
    exit: 0,
    err: expect.any(String) as string,
  });
  expect(reporters()).toEqual(['oidc:actions', 'oidc:actions']);
  expect(asked).toEqual([
    `/token?api-version=2.0&audience=${encodeURIComponent(server)} Bearer canary-runner`,
    '/token?api-version=2.0&audience=towpath+%26+more Bearer canary-runner',
  ]);
});

test('elsewhere the identity token is in a file or in TOWPATH_OIDC_TOKEN', async () => {
  const file = join(directory, 'identity');
  await writeFile(file, `${IDENTITY_TOKEN}\n`);
  expect((await report({}, ['--oidc-token', file])).exit).toBe(0);
  expect((await report({ TOWPATH_OIDC_TOKEN: ` ${IDENTITY_TOKEN}\n` })).exit).toBe(0);
  expect(reporters()).toEqual(['oidc:actions', 'oidc:actions']);
});

test('a token of ours that was given goes before what GitHub offers, and what a job says before both', async () => {
  const token = { TOWPATH_TOKEN: await house.token('ci', 'ci-shop') };
  expect((await report({ ...onActions(), ...token })).exit).toBe(0);
  expect((await report({ ...onActions(), ...token, TOWPATH_OIDC_TOKEN: IDENTITY_TOKEN })).exit).toBe(0);
  const file = join(directory, 'token');
  await writeFile(file, token.TOWPATH_TOKEN);
  expect((await report({ TOWPATH_OIDC_TOKEN: IDENTITY_TOKEN }, ['--token-file', file])).exit).toBe(0);
  expect(reporters()).toEqual(['ci-shop', 'oidc:actions', 'ci-shop']);
  expect(asked).toEqual([]);
  expect((await report({}, ['--token-file', file, '--oidc-token', file])).exit).toBe(64);
});

test('what goes wrong is said with what to do, and without any token', async () => {
  const refused = await report({ TOWPATH_OIDC_TOKEN: 'canary-other' });
  expect(refused).toMatchObject({ exit: 4, err: expect.stringContaining('access.identity-refused') as string });
  const nameless = await report({ TOWPATH_OIDC_TOKEN: IDENTITY_TOKEN, TOWPATH_PROJECT: '' });
  expect(nameless).toMatchObject({ exit: 64, err: expect.stringContaining('TOWPATH_PROJECT') as string });
  const outcomes = [refused, nameless, await report({}, ['--oidc-token', join(directory, 'none')])];
  for (const wrong of [
    { status: 403, body: 'canary' },
    { status: 200, body: 'canary' },
    { status: 200, body: '{"value":7}' },
  ]) {
    answer = wrong;
    const failed = await report(onActions());
    expect(failed).toMatchObject({ exit: 1, err: expect.stringContaining('id-token: write') as string });
    outcomes.push(failed);
  }
  expect(outcomes.map(({ out, err }) => out + err).join('\n')).not.toContain('canary');
});
