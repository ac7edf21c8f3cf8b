import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

import fc from 'fast-check';
import { Agent } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { hasCode } from '../../lib/error.ts';
import { cases } from '../../lib/testing/cases.ts';
import { MANIFEST_TYPES } from '../manifest.ts';
import { testImage } from '../testing/images.ts';
import { createRegistryClient } from './client.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly breaksOff: boolean;
}

let server: Server;
let host: string;
let answers: Answer[] = [];
let other: Server;
const strangers: (string | undefined)[] = [];
const agent = new Agent({ connections: 4, headersTimeout: 5_000, bodyTimeout: 5_000 });

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    const { status, headers, body, breaksOff } = answers.shift() ?? {
      status: 404,
      headers: {},
      body: Buffer.alloc(0),
      breaksOff: false,
    };
    response.writeHead(status, breaksOff ? { ...headers, 'content-length': body.length + 10 } : headers);
    if (breaksOff) response.write(body, () => response.destroy());
    else response.end(body);
  });
  other = createServer((request, response) => {
    strangers.push(request.headers.authorization);
    response.end('{}');
  });
  for (const one of [server, other]) await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await agent.close();
  for (const one of [server, other]) one.close().closeAllConnections();
});

const image = await testImage([{ hello: 'stranger' }]);
const digestText = fc.constantFrom<string>(image.digest, `sha256:${'0'.repeat(64)}`, 'sha256:x', 'md5:1', '');
const address = fc.constantFrom(
  '/v2/team/app/blobs/uploads/1',
  'OTHER/v2/x',
  'http://[::1',
  '//x:y@z/',
  'file:///etc/passwd',
  '\u00ff',
);
const headers = fc.record(
  {
    'content-type': fc.constantFrom(...MANIFEST_TYPES, 'text/html', 'application/json; charset=x'),
    'docker-content-digest': digestText,
    location: address,
    link: fc.constantFrom(
      '<OTHER/v2/_x>; rel="next"',
      '</v2/team/app/tags/list?last=a>; rel="next"',
      '<',
      '<x>; rel=next',
    ),
    'www-authenticate': fc.constantFrom(
      'Basic',
      'Bearer',
      'Bearer realm="OTHER/token",service="x"',
      'Bearer realm="nowhere"',
      'Bearer realm="\u00ff',
    ),
    range: fc.constantFrom('0-0', '0-999999999999', 'x', '5-1'),
    'retry-after': fc.constantFrom('0', '-1', 'Wed, 21 Oct 2099 07:28:00 GMT', 'x', '1e99'),
    'oci-subject': digestText,
  },
  { requiredKeys: [] },
);
const json = fc.oneof(
  fc.constant(image.bytes),
  fc.jsonValue({ maxDepth: 3 }).map((value) => Buffer.from(JSON.stringify(value))),
  fc
    .record({
      tags: fc.jsonValue({ maxDepth: 2 }),
      manifests: fc.jsonValue({ maxDepth: 3 }),
      token: fc.jsonValue({ maxDepth: 1 }),
    })
    .map((value) => Buffer.from(JSON.stringify(value))),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
);
const anyAnswer = fc.record({
  status: fc.constantFrom(200, 201, 202, 204, 206, 301, 307, 400, 401, 403, 404, 416, 429, 500, 599),
  headers,
  body: json,
  breaksOff: fc.boolean(),
});

test('whatever a registry answers, it is an answer or a typed error, and no stranger learns the password', async () => {
  const there = `http://localhost:${(other.address() as AddressInfo).port}`;
  const registry = createRegistryClient({
    host,
    agentFor: () => agent,
    credentials: async () => ({ kind: 'basic', username: 'robot', password: 'canary-secret' }),
    retry: { attempts: 2, wait: async () => undefined },
  });
  const layer = Buffer.from('a layer');
  const calls = {
    manifest: () => registry.manifest('team/app', image.digest),
    put: () => registry.putManifest('team/app', 'main', image),
    tag: () => registry.tag('team/app', image.digest, 'v1'),
    has: () => registry.hasBlob('team/app', image.digest),
    read: async () => buffer(await registry.readBlob('team/app', image.digest)),
    write: () => registry.writeBlob('team/app', { digest: sha256(layer), size: layer.length, open: () => layer }),
    mount: () => registry.mountBlob('team/app', image.digest, 'team/other'),
    tags: () => registry.tags('team/app'),
    delete: () => registry.deleteManifest('team/app', image.digest),
    referrers: () => registry.referrers('team/app', image.digest),
  };
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...(Object.keys(calls) as (keyof typeof calls)[])),
      fc.array(anyAnswer, { minLength: 1, maxLength: 5 }),
      async (call, given) => {
        answers = given.map((answer) => ({
          ...answer,
          headers: Object.fromEntries(
            Object.entries(answer.headers).map(([name, value]) => [name, value.replace('OTHER', there)]),
          ),
        }));
        const got = await calls[call]().catch((error: unknown) => {
          if (!hasCode(error)) throw error;
          expect(JSON.stringify(error)).not.toContain('canary-secret');
          return null;
        });
        if (call === 'read' && got !== null) expect(sha256(got as Buffer)).toBe(image.digest);
      },
    ),
    cases(300),
  );
  expect(strangers.filter((authorization) => authorization !== undefined)).toEqual([]);
});
