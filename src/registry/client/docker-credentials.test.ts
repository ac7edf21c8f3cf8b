import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { hasCode } from '../../lib/error.ts';
import { cases } from '../../lib/testing/cases.ts';
import { dockerCredentials } from './docker-credentials.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-docker-config-'));
  const helper = [
    '#!/bin/sh',
    'read -r server || true',
    'case "$1 $server" in',
    '  "get vault.test") echo \'{"ServerURL":"vault.test","Username":"robot","Secret":"from-helper"}\' ;;',
    '  "get token.test") echo \'{"Username":"<token>","Secret":"refresh"}\' ;;',
    '  "get slow.test") sleep 600 ;;',
    '  "get endless.test") yes "a secret" ;;',
    `  "get any.test") cat "$0.answer"; exit "$(cat "$0.code")" ;;`,
    '  "get broken.test") echo "no JSON, secret inside" ;;',
    '  *) echo "credentials not found in native keychain"; exit 1 ;;',
    'esac',
  ];
  await writeFile(join(directory, 'docker-credential-fake'), helper.join('\n'));
  await chmod(join(directory, 'docker-credential-fake'), 0o755);
});
afterAll(async () => rm(directory, { recursive: true }));

async function lookUp(config: object | string): Promise<(host: string) => Promise<unknown>> {
  const configFile = join(directory, 'config.json');
  await writeFile(configFile, typeof config === 'string' ? config : JSON.stringify(config));
  const environment = { PATH: `${directory}:${process.env['PATH']}` };
  return dockerCredentials({ configFile, environment });
}

test('what `docker login` wrote is found by its host, also under an old key and for Docker Hub', async () => {
  const auth = Buffer.from('robot:pass:word').toString('base64');
  const find = await lookUp({
    auths: {
      'plain.test': { auth },
      'https://old.test/v1/': { auth },
      'https://index.docker.io/v1/': { auth },
      'identity.test': { auth: '', identitytoken: 'refresh' },
      'ready.test': { registrytoken: 'access' },
      'empty.test': {},
    },
  });
  const basic = { kind: 'basic', username: 'robot', password: 'pass:word' };
  expect(await find('plain.test')).toEqual(basic);
  expect(await find('old.test')).toEqual(basic);
  expect(await find('docker.io')).toEqual(basic);
  expect(await find('identity.test')).toEqual({ kind: 'identity', token: 'refresh' });
  expect(await find('ready.test')).toEqual({ kind: 'bearer', token: 'access' });
  expect(await find('empty.test')).toBeNull();
  expect(await find('unknown.test')).toBeNull();
});

test('a helper is asked for its host, and for all hosts where it keeps them', async () => {
  const find = await lookUp({ credHelpers: { 'vault.test': 'fake' }, auths: {} });
  expect(await find('vault.test')).toEqual({ kind: 'basic', username: 'robot', password: 'from-helper' });
  expect(await find('token.test')).toBeNull();
  const findAll = await lookUp({ credsStore: 'fake' });
  expect(await findAll('token.test')).toEqual({ kind: 'identity', token: 'refresh' });
  expect(await findAll('nobody.test')).toBeNull();
});

test('a helper that does not answer in time is an error, also when what it started goes on', async () => {
  const configFile = join(directory, 'slow.json');
  await writeFile(configFile, JSON.stringify({ credHelpers: { 'slow.test': 'fake' } }));
  const environment = { PATH: `${directory}:${process.env['PATH']}` };
  const find = dockerCredentials({ configFile, environment, helperTimeoutMs: 50 });
  await expect(find('slow.test')).rejects.toMatchObject({
    code: 'registry.credentials',
    what: expect.stringContaining('no answer within') as string,
  });
});

test('a missing configuration is no credentials; a broken one, or a broken helper, is an error without its text', async () => {
  expect(await dockerCredentials({ configFile: join(directory, 'none.json') })('plain.test')).toBeNull();
  const code = 'registry.credentials';
  await expect((await lookUp('{"auths": secret'))('plain.test')).rejects.toMatchObject({ code });
  await expect((await lookUp({ credsStore: 'absent' }))('plain.test')).rejects.toMatchObject({ code });
  await expect((await lookUp({ credsStore: '../../bin/sh' }))('plain.test')).rejects.toMatchObject({ code });
  const broken = (await lookUp({ credsStore: 'fake' }))('broken.test');
  await expect(broken).rejects.toMatchObject({ code, message: expect.not.stringContaining('secret inside') as string });
});

test('a helper that answers without end is stopped at once', async () => {
  const find = await lookUp({ credsStore: 'fake' });
  await expect(find('endless.test')).rejects.toMatchObject({ code: 'registry.credentials' });
});

test('whatever a helper answers or a configuration says is credentials, none, or an error without its text', async () => {
  const plain = fc.oneof(fc.constantFrom('', 'fake', 'any.test', '<token>', '__proto__'), fc.string());
  const word = fc.oneof(plain, fc.constant('canary-secret'));
  const said = fc.oneof(
    fc.dictionary(fc.constantFrom('Username', 'Secret', 'ServerURL'), fc.oneof(word, fc.jsonValue({ maxDepth: 1 }))),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const text = fc.oneof(
    said.map((value) => JSON.stringify(value)),
    fc.string({ unit: 'binary' }).map((rest) => `canary-secret${rest}`),
  );
  const entry = fc.dictionary(
    fc.constantFrom('auth', 'username', 'password', 'identitytoken'),
    fc.oneof(word, fc.integer()),
  );
  const hosts = fc.constantFrom('any.test', 'https://any.test/v1/', 'constructor', '__proto__');
  const config = fc.record(
    {
      auths: fc.dictionary(hosts, entry),
      credHelpers: fc.dictionary(hosts, plain),
      credsStore: fc.oneof(plain, fc.constant(7)),
    },
    { requiredKeys: [] },
  );
  const asked = async (written: object | string, host: string) => {
    try {
      const found = await (await lookUp(written))(host);
      if (found !== null) expect(['basic', 'identity', 'bearer']).toContain((found as { kind: string }).kind);
    } catch (error) {
      expect(hasCode(error, 'registry.credentials'), String(error)).toBe(true);
      expect(String(error)).not.toContain('canary');
    }
  };
  const program = join(directory, 'docker-credential-fake');
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom('0', '0', '1'), async (answer, code) => {
      await writeFile(`${program}.answer`, answer);
      await writeFile(`${program}.code`, code);
      await asked({ credsStore: 'fake' }, 'any.test');
    }),
    cases(25),
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(config, text), fc.constantFrom('any.test', 'constructor'), asked),
    cases(100),
  );
});
