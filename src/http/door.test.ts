import { get } from 'node:http';

import { expect, onTestFinished, test } from 'vitest';

import type { RegistryHandler } from './registry-door.ts';
import { testServer } from './testing/server.ts';

const registry: RegistryHandler = {
  handle: async (request, response) => {
    if (request.url === '/v2/boom') throw new Error('disk /secret/path is full');
    let length = 0;
    for await (const bytes of request) length += (bytes as Buffer).length;
    response.writeHead(200).end(`${request.method} ${request.url} ${length}`);
  },
};

async function door(openToLoopback: boolean) {
  const house = await testServer({ registry, registryOpenToLoopback: openToLoopback });
  onTestFinished(() => house.server.close());
  return { house, base: await house.listen() };
}

const basic = (secret: string) => ({ authorization: `Basic ${Buffer.from(`any:${secret}`).toString('base64')}` });

test('the registry is closed to strangers, in words that container clients understand', async () => {
  const { base } = await door(false);
  for (const path of ['/v2/', '/v2', '/v2/shop/web/manifests/main']) {
    const answer = await fetch(`${base}${path}`);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toMatch(
      /^Bearer realm="http:\/\/127\.0\.0\.1:\d+\/v2\/token",service="towpath"/,
    );
    expect(await answer.json()).toMatchObject({ errors: [{ code: 'UNAUTHORIZED' }] });
  }
});

test('a token is a password; reading and writing are two permissions', async () => {
  const { house, base } = await door(false);
  const viewer = basic(await house.token('viewer'));
  const operator = basic(await house.token('operator'));
  expect((await fetch(`${base}/v2/`, { headers: viewer })).status).toBe(200);
  const push = { method: 'PUT', body: Buffer.alloc(3_000_000) };
  expect((await fetch(`${base}/v2/a/blobs/uploads/1`, { ...push, headers: viewer })).status).toBe(403);
  const pushed = await fetch(`${base}/v2/a/blobs/uploads/1`, { ...push, headers: operator });
  expect(await pushed.text()).toBe('PUT /v2/a/blobs/uploads/1 3000000');
});

test('engines of this machine may pull without a token where that is set, and never push', async () => {
  const { base } = await door(true);
  expect((await fetch(`${base}/v2/`)).status).toBe(200);
  expect((await fetch(`${base}/v2/a/manifests/x`, { method: 'PUT', body: '{}' })).status).toBe(401);
  expect((await fetch(`${base}/v2/`, { headers: basic('wrong') })).status).toBe(401);
});

test('a page that gives this machine its own name cannot read images through it', async () => {
  const { base } = await door(true);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    get(`${base}/v2/`, { headers: { host: 'evil.example' } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
  expect(status).toBe(401);
});

test('a failure of the registry does not tell its paths', async () => {
  const { base } = await door(true);
  const answer = await fetch(`${base}/v2/boom`);
  expect(answer.status).toBe(500);
  expect(await answer.text()).not.toContain('secret');
});
