import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import type { Registry } from '../registry.ts';
import { makeCertificate } from '../testing/certificate.ts';
import type { Certificate } from '../testing/certificate.ts';
import { startClosedRegistry } from '../testing/debian-registry.ts';
import { pushBlob, pushImage, testImage } from '../testing/images.ts';
import type { Served } from '../testing/served.ts';
import { startTokenService } from '../testing/token-service.ts';
import type { TokenService } from '../testing/token-service.ts';
import { outsideAgents } from './agents.ts';
import type { Credentials } from './auth.ts';
import { createRegistryClient } from './client.ts';

/** Debian's registry behind TLS, which checks the signatures of a token service: all that a registry of a company has. */
let directory: string;
let certificate: Certificate;
let tokens: TokenService;
let registry: Served;

const robot: Credentials = { kind: 'basic', username: 'robot', password: 'canary-secret' };
const image = await testImage([{ hello: 'tokens' }]);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-certs-'));
  certificate = await makeCertificate(['127.0.0.1']);
  tokens = await startTokenService(certificate);
  const settings = { realm: `https://${tokens.host}/token`, cert: certificate.cert };
  registry = await startClosedRegistry({ tokens: settings, tls: certificate });
  await trust(registry.host);
  await trust(tokens.host);
});
afterAll(async () => {
  await registry.close();
  await tokens.close();
  await rm(directory, { recursive: true });
});

/** As an administrator does for docker. */
async function trust(host: string): Promise<void> {
  await mkdir(join(directory, host));
  await writeFile(join(directory, host, 'ca.crt'), certificate.cert);
}

function clientAs(credentials: Credentials | null, now?: () => number): Registry {
  return createRegistryClient({
    host: registry.host,
    scheme: 'https',
    credentials: async () => credentials,
    agentFor: outsideAgents({ environment: {}, certificates: directory }),
    ...(now && { retry: { now } }),
  });
}

test('an image is pushed, named, mounted into another repository and deleted', async () => {
  const client = clientAs(robot);
  await pushImage(client, 'private/first', image);
  expect(await client.tag('private/first', image.digest, 'v1')).toBe('tagged');
  for (const blob of [image.config, ...image.layers])
    expect(await client.mountBlob('private/second', sha256(blob), 'private/first')).toBe(true);
  await client.putManifest('private/second', 'v1', image);
  expect((await client.manifest('private/second', 'v1'))?.bytes).toEqual(image.bytes);
  await client.deleteManifest('private/second', image.digest);
  expect(await client.manifest('private/second', 'v1')).toBeNull();
});

test('what is public is read without credentials, and nothing else is', async () => {
  await pushImage(clientAs(robot), 'public/app', image, 'v1');
  await pushImage(clientAs(robot), 'private/app', image, 'v1');
  const anyone = clientAs(null);
  expect((await anyone.manifest('public/app', 'v1'))?.digest).toBe(image.digest);
  const refused = { code: /^registry\.(unauthorized|denied)$/ };
  await expect(anyone.manifest('private/app', 'v1')).rejects.toMatchObject(refused);
  await expect(pushBlob(anyone, 'public/app', Buffer.from('new'))).rejects.toMatchObject(refused);
});

test('a wrong password is an error that does not hold it', async () => {
  const wrong = clientAs({ ...robot, password: 'canary-wrong' });
  await expect(wrong.manifest('private/app', 'v1')).rejects.toMatchObject({
    code: 'registry.unauthorized',
    message: expect.not.stringContaining('canary') as string,
  });
});

test('an identity token opens it as the password does', async () => {
  const identity = clientAs({ kind: 'identity', token: 'canary-identity' });
  await pushImage(identity, 'private/identity', image, 'v1');
  expect((await identity.manifest('private/identity', 'v1'))?.digest).toBe(image.digest);
});

test('one token serves its scope until it has run out', async () => {
  let nowMs = 0;
  const client = clientAs(robot, () => nowMs);
  await pushImage(clientAs(robot), 'private/often', image, 'v1');
  tokens.asked.length = 0;
  for (let i = 0; i < 5; i++) await client.manifest('private/often', 'v1');
  expect(tokens.asked).toEqual(['robot repository:private/often:pull']);
  nowMs = 300_000;
  await client.manifest('private/often', 'v1');
  expect(tokens.asked).toHaveLength(2);
});

test('a certificate of an authority that nobody named is told as such, and nothing is sent', async () => {
  const agentFor = outsideAgents({ environment: {}, certificates: join(directory, 'none') });
  const client = createRegistryClient({ host: registry.host, scheme: 'https', agentFor });
  await expect(client.tags('public/app')).rejects.toMatchObject({
    code: 'registry.certificate',
    fix: expect.stringContaining(`/etc/docker/certs.d/${registry.host}/ca.crt`) as string,
  });
});
