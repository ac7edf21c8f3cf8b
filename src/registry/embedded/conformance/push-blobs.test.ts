import { expect } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { noise } from '../../testing/images.ts';
import { requirements } from '../../testing/requirements.ts';
import { withQuery } from '../../testing/talk.ts';
import type { Talk } from '../../testing/talk.ts';

const SESSION = /[0-9a-z]{26}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/** What was pushed can be pulled from where the registry says that it is. */
async function pullable({ ask }: Talk, location: string | undefined, bytes: Buffer): Promise<void> {
  const found = await ask('GET', location ?? expect.unreachable('an answer without a location'));
  expect(found.status).toBe(200);
  expect(found.bytes.equals(bytes)).toBe(true);
}

async function part({ ask }: Talk, location: string, bytes: Buffer, start: number) {
  const headers = {
    'content-range': `${start}-${start + bytes.length - 1}`,
    'content-type': 'application/octet-stream',
  };
  return ask('PATCH', location, bytes, headers);
}

requirements('Pushing a blob monolithically', [
  [
    'end-4a',
    'MUST',
    'POST answers 202 with a location of its own for each session',
    async ({ begin }) => {
      const [one, two] = [await begin(), await begin()];
      expect(one).toMatch(SESSION);
      expect(one).not.toBe(two);
    },
  ],
  [
    'end-6',
    'MUST',
    'PUT of the bytes answers 201, with the location of the blob',
    async (talk) => {
      const bytes = noise(5000, 'monolithic');
      const done = await talk.ask('PUT', withQuery(await talk.begin(), `digest=${sha256(bytes)}`), bytes);
      expect(done).toMatchObject({ status: 201, headers: { 'docker-content-digest': sha256(bytes) } });
      await pullable(talk, done.headers['location'], bytes);
    },
  ],
  [
    'end-6',
    'MUST',
    'bytes of another digest are refused: 400 DIGEST_INVALID, and nothing is there',
    async ({ ask, begin, repository }) => {
      const promised = sha256('something else');
      const refused = await ask('PUT', withQuery(await begin(), `digest=${promised}`), noise(500));
      expect(refused).toMatchObject({ status: 400, code: 'DIGEST_INVALID' });
      expect((await ask('HEAD', `/v2/${repository}/blobs/${promised}`)).status).toBe(404);
    },
  ],
  [
    'end-4b',
    'MUST',
    'a single POST with the digest answers 201, or 202 where a PUT is to follow',
    async (talk) => {
      const bytes = noise(6000, 'single');
      const url = `/v2/${talk.repository}/blobs/uploads/?digest=${sha256(bytes)}`;
      const answer = await talk.ask('POST', url, bytes, { 'content-type': 'application/octet-stream' });
      expect([201, 202]).toContain(answer.status);
      if (answer.status === 201) return pullable(talk, answer.headers['location'], bytes);
      const put = withQuery(answer.headers['location'] ?? '', `digest=${sha256(bytes)}`);
      expect((await talk.ask('PUT', put, bytes)).status).toBe(201);
    },
  ],
  [
    'end-4b',
    'MUST',
    'a single POST whose digest is that of other bytes makes no blob',
    async ({ ask, repository }) => {
      const promised = sha256('other bytes');
      await ask('POST', `/v2/${repository}/blobs/uploads/?digest=${promised}`, noise(500));
      expect((await ask('HEAD', `/v2/${repository}/blobs/${promised}`)).status).toBe(404);
    },
  ],
]);

requirements(
  'Pushing a blob in chunks',
  [
    [
      'end-4a',
      'SHOULD',
      'OCI-Chunk-Min-Length is a number where chunks have a least size',
      async ({ ask, repository }) => {
        const begun = await ask('POST', `/v2/${repository}/blobs/uploads/`, '', { 'content-length': '0' });
        expect(begun.headers['oci-chunk-min-length'] ?? '1').toMatch(/^\d+$/);
      },
    ],
    [
      'end-5',
      'MUST',
      'each chunk is answered by 202 with Location and Range, and PUT closes the session with the last chunk',
      async (talk) => {
        const bytes = noise(3000, 'chunks');
        let location = await talk.begin();
        for (const start of [0, 1000]) {
          const taken = await part(talk, location, bytes.subarray(start, start + 1000), start);
          expect(taken).toMatchObject({ status: 202, headers: { range: `0-${start + 999}` } });
          location = taken.headers['location'] ?? '';
        }
        const headers = { 'content-range': '2000-2999', 'content-type': 'application/octet-stream' };
        const url = withQuery(location, `digest=${sha256(bytes)}`);
        const done = await talk.ask('PUT', url, bytes.subarray(2000), headers);
        expect(done.status).toBe(201);
        await pullable(talk, done.headers['location'], bytes);
      },
    ],
    [
      'end-6',
      'MUST',
      'PUT without a body closes a session whose chunks all came by PATCH',
      async (talk) => {
        const bytes = noise(100, 'closed');
        const taken = await part(talk, await talk.begin(), bytes, 0);
        const done = await talk.ask('PUT', withQuery(taken.headers['location'] ?? '', `digest=${sha256(bytes)}`));
        expect(done.status).toBe(201);
        await pullable(talk, done.headers['location'], bytes);
      },
    ],
    [
      'end-5',
      'SHOULD',
      'a stream without Content-Range is one chunk',
      async (talk) => {
        const bytes = noise(80_000, 'streamed');
        const taken = await talk.ask('PATCH', await talk.begin(), bytes);
        expect(taken).toMatchObject({ status: 202, headers: { range: '0-79999' } });
        const done = await talk.ask('PUT', withQuery(taken.headers['location'] ?? '', `digest=${sha256(bytes)}`));
        expect(done.status).toBe(201);
      },
    ],
    [
      'end-5',
      'MUST',
      'a chunk out of order is answered by 416, and the session goes on where it was',
      async (talk) => {
        const bytes = noise(300, 'order');
        const location = await talk.begin();
        expect((await part(talk, location, bytes.subarray(100, 200), 100)).status).toBe(416);
        const taken = await part(talk, location, bytes.subarray(0, 100), 0);
        expect(taken.status).toBe(202);
        const next = taken.headers['location'] ?? '';
        expect((await part(talk, next, bytes.subarray(200), 200)).status).toBe(416);
        expect((await part(talk, next, bytes.subarray(0, 100), 0)).status).toBe(416);
        const last = await part(talk, next, bytes.subarray(100), 100);
        const done = await talk.ask('PUT', withQuery(last.headers['location'] ?? '', `digest=${sha256(bytes)}`));
        expect(done.status).toBe(201);
      },
    ],
    [
      'end-6',
      'MUST',
      'a last chunk out of order is answered by 416',
      async (talk) => {
        const bytes = noise(200, 'last');
        const taken = await part(talk, await talk.begin(), bytes.subarray(0, 100), 0);
        const url = withQuery(taken.headers['location'] ?? '', `digest=${sha256(bytes)}`);
        expect((await talk.ask('PUT', url, bytes.subarray(150), { 'content-range': '150-199' })).status).toBe(416);
      },
    ],
    [
      'end-13',
      'MUST',
      'GET of a session answers 204 with Location, and Range up to the last byte that came',
      async (talk) => {
        const bytes = noise(100, 'status');
        const taken = await part(talk, await talk.begin(), bytes.subarray(0, 60), 0);
        const status = await talk.ask('GET', taken.headers['location'] ?? '');
        expect(status).toMatchObject({ status: 204, headers: { range: '0-59' } });
        const rest = await part(talk, status.headers['location'] ?? '', bytes.subarray(60), 60);
        expect(rest).toMatchObject({ status: 202, headers: { range: '0-99' } });
      },
    ],
    [
      'end-6',
      'MUST',
      'PUT has to name the digest of the whole',
      async (talk) => {
        const taken = await part(talk, await talk.begin(), noise(10), 0);
        const location = taken.headers['location'] ?? '';
        expect(await talk.ask('PUT', location)).toMatchObject({ status: 400, code: 'DIGEST_INVALID' });
      },
    ],
    [
      'end-14',
      'SHOULD',
      'DELETE of a session answers 204, and there is no such session then',
      async ({ ask, begin }) => {
        const location = await begin();
        expect((await ask('DELETE', location)).status).toBe(204);
        expect(await ask('GET', location)).toMatchObject({ status: 404, code: 'BLOB_UPLOAD_UNKNOWN' });
      },
    ],
  ],
  {
    debianLacks: [
      'a chunk out of order is answered by 416, and the session goes on where it was',
      'a last chunk out of order is answered by 416',
    ],
  },
);

requirements('Mounting a blob from another repository', [
  [
    'end-11',
    'MUST',
    'a blob that the other repository holds is mounted: 201 with the location of the blob',
    async (talk) => {
      const bytes = noise(700, 'mounted');
      const digest = await talk.blob(bytes, talk.other);
      const url = `/v2/${talk.repository}/blobs/uploads/?mount=${digest}&from=${talk.other}`;
      const mounted = await talk.ask('POST', url);
      expect(mounted.status).toBe(201);
      expect(mounted.headers['location']).toContain(`/v2/${talk.repository}/blobs/${digest}`);
      await pullable(talk, mounted.headers['location'], bytes);
    },
  ],
  [
    'end-11',
    'SHOULD',
    'what cannot be mounted is answered by 202, and the session takes the bytes',
    async (talk) => {
      const bytes = noise(800, 'not mounted');
      for (const from of [`&from=${talk.other}`, `&from=${talk.repository}`, '']) {
        const url = `/v2/${talk.repository}/blobs/uploads/?mount=${sha256(`${from}none`)}${from}`;
        const begun = await talk.ask('POST', url);
        expect(begun.status).toBe(202);
        const put = withQuery(begun.headers['location'] ?? '', `digest=${sha256(bytes)}`);
        expect((await talk.ask('PUT', put, bytes)).status).toBe(201);
      }
    },
  ],
]);
