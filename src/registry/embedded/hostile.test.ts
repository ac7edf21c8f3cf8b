import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { cases } from '../../lib/testing/cases.ts';
import { MANIFEST_TYPES } from '../manifest.ts';
import { serve } from '../testing/served.ts';
import type { Served } from '../testing/served.ts';
import { talkTo } from '../testing/talk.ts';
import { createEmbeddedRegistry } from './embedded.ts';

let directory: string;
let served: Served;
let digest: string;
const errors: unknown[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-hostile-registry-'));
  served = await serve(async (host) => {
    const registry = await createEmbeddedRegistry({ directory, host, onError: (error) => errors.push(error) });
    return (incoming, response) => void registry.handle(incoming, response);
  });
  const talk = talkTo(served.host);
  const image = await talk.image('main', 'team/app');
  ({ digest } = image);
});
afterAll(async () => {
  await served.close();
  await rm(directory, { recursive: true });
});

const words = fc.constantFrom(
  'team/app',
  'main',
  'uploads',
  'blobs',
  'manifests',
  'tags/list',
  'referrers',
  '_catalog',
  '..',
  '%2e%2e',
  '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  '%00',
  '%ff',
  '//',
  'DIGEST',
  `sha256:${'0'.repeat(64)}`,
  `sha512:${'0'.repeat(128)}`,
  'sha256:../../x',
  'a'.repeat(300),
  '__proto__',
);
const segment = fc.oneof({ weight: 4, arbitrary: words }, { weight: 1, arbitrary: fc.webSegment() });
const path = fc.oneof(
  { weight: 1, arbitrary: fc.array(segment, { maxLength: 6 }).map((parts) => `/v2/${parts.join('/')}`) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom('team/app', 'other/app'),
        fc.constantFrom('manifests', 'blobs', 'blobs/uploads', 'referrers', 'tags'),
        segment,
      )
      .map((parts) => `/v2/${parts.join('/')}`),
  },
);
const query = fc.dictionary(
  fc.constantFrom('digest', 'mount', 'from', 'n', 'last', 'artifactType', '_state'),
  fc.oneof(segment, fc.constantFrom('-1', '0', '1e9', '99999999999999999999', 'NaN')),
  { maxKeys: 3 },
);
const headers = fc.dictionary(
  fc.constantFrom('content-type', 'content-range', 'range', 'accept', 'authorization', 'oci-subject'),
  fc.oneof(
    fc.constantFrom(
      ...MANIFEST_TYPES,
      'bytes=0-',
      'bytes=5-1',
      'bytes=-9999999999',
      '0-0',
      '10-5',
      '0-99999999999999999999',
      'Basic !!!',
      '*/*',
    ),
    fc.string({ unit: fc.integer({ min: 33, max: 126 }).map((code) => String.fromCharCode(code)), maxLength: 40 }),
  ),
  { maxKeys: 3 },
);
const descriptor = fc.record(
  {
    mediaType: fc.oneof(fc.constantFrom(...MANIFEST_TYPES), fc.string(), fc.jsonValue({ maxDepth: 1 })),
    digest: fc.oneof(fc.constantFrom('DIGEST', 'sha256:x', '../x'), fc.jsonValue({ maxDepth: 1 })),
    size: fc.oneof(fc.nat(), fc.constantFrom(-1, 1e300, '7', null)),
  },
  { requiredKeys: [] },
);
const manifest = fc.record(
  {
    schemaVersion: fc.constantFrom(2, 1, '2'),
    mediaType: fc.oneof(fc.constantFrom(...MANIFEST_TYPES), fc.string()),
    config: descriptor,
    layers: fc.array(descriptor, { maxLength: 2 }),
    manifests: fc.array(descriptor, { maxLength: 2 }),
    subject: descriptor,
    annotations: fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue({ maxDepth: 1 })),
  },
  { requiredKeys: [] },
);
const body = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  manifest.map((value) => Buffer.from(JSON.stringify(value))),
);

test('whatever is asked of it is answered or refused, and is never its failure', async () => {
  const method = fc.constantFrom('GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'PURGE');
  await fc.assert(
    fc.asyncProperty(method, path, query, headers, body, async (verb, where, asked, said, sent) => {
      const search = new URLSearchParams(asked).toString();
      const target = `${where}${search === '' ? '' : `?${search}`}`.replaceAll('DIGEST', digest);
      const lines = Object.entries(said).map(([name, value]) => `${name}: ${value}`);
      const status = await raw(
        verb,
        target,
        lines,
        Buffer.from(sent.toString('latin1').replaceAll('DIGEST', digest), 'latin1'),
      );
      expect(status, `${verb} ${target}`).toBeLessThan(500);
      expect(errors.splice(0), `${verb} ${target}`).toEqual([]);
    }),
    cases(400),
  );
  const whole = await talkTo(served.host).ask('GET', `/v2/team/app/manifests/${digest}`);
  expect([200, 404]).toContain(whole.status); // a stranger with the right to delete may have deleted it
  if (whole.status === 200) expect(sha256(whole.bytes)).toBe(digest);
});

test('a reference that is a path leads out of no repository', async () => {
  const talk = talkTo(served.host);
  const secret = await talk.image('kept', 'secret/app');
  const paths = ['../../../secret/app/_tags/kept', `../../../secret/app/_manifests/sha256/${secret.digest.slice(7)}`];
  for (const method of ['GET', 'DELETE'] as const)
    for (const where of paths)
      expect(await raw(method, `/v2/team/app/manifests/${encodeURIComponent(where)}`, [], Buffer.alloc(0))).toBe(404);
  expect((await talk.ask('GET', '/v2/secret/app/manifests/kept')).status).toBe(200);
});

/** The very bytes on the wire: clients mend what they are given. @returns the status of the answer */
async function raw(method: string, target: string, lines: readonly string[], bytes: Buffer): Promise<number> {
  const [host = '', port = ''] = served.host.split(':');
  const socket = connect(Number(port), host);
  const head = [
    `${method} ${target.replace(/\s/g, '%20')} HTTP/1.1`,
    `host: ${served.host}`,
    'connection: close',
    ...lines,
  ];
  socket.write(`${head.join('\r\n')}\r\ncontent-length: ${bytes.length}\r\n\r\n`);
  socket.write(bytes);
  let answer = '';
  for await (const chunk of socket) answer += (chunk as Buffer).toString('latin1');
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? '599');
}
