import { expect } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { noise } from '../../testing/images.ts';
import { requirements } from '../../testing/requirements.ts';

const NOWHERE = sha256('nothing');

requirements('Determining support', [
  [
    'end-1',
    'MUST',
    'GET /v2/ of a registry that keeps the specification answers 200',
    async ({ ask }) => expect((await ask('GET', '/v2/')).status).toBe(200),
  ],
]);

requirements('Pulling manifests', [
  [
    'end-3',
    'MUST',
    'a manifest comes by its tag and by its digest, 200 and byte for byte',
    async ({ ask, image, repository }) => {
      const { bytes, digest } = await image('v1');
      for (const reference of ['v1', digest]) {
        const found = await ask('GET', `/v2/${repository}/manifests/${reference}`);
        expect(found.status).toBe(200);
        expect(found.bytes.equals(bytes)).toBe(true);
      }
    },
  ],
  [
    'end-3',
    'SHOULD',
    'Content-Type is the one that it was pushed with, without parameters',
    async ({ ask, image, repository }) => {
      const { mediaType } = await image('v1');
      const found = await ask('GET', `/v2/${repository}/manifests/v1`);
      expect(found.headers['content-type']).toBe(mediaType);
    },
  ],
  [
    'end-3',
    'SHOULD',
    'Docker-Content-Digest is the digest of the bytes, whether a tag or a digest was asked for',
    async ({ ask, image, repository }) => {
      const { digest } = await image('v1');
      for (const reference of ['v1', digest]) {
        const found = await ask('GET', `/v2/${repository}/manifests/${reference}`);
        expect(found.headers['docker-content-digest']).toBe(sha256(found.bytes));
      }
    },
  ],
  [
    'end-3',
    'MUST',
    'what is not there answers 404, also where there is no such repository',
    async ({ ask, image, repository, other }) => {
      await image('v1');
      for (const path of [
        `${repository}/manifests/none`,
        `${repository}/manifests/${NOWHERE}`,
        `${other}/manifests/v1`,
      ]) {
        const found = await ask('GET', `/v2/${path}`);
        expect(found).toMatchObject({ status: 404, code: expect.stringMatching(/^(MANIFEST|NAME)_UNKNOWN$/) });
      }
    },
  ],
  [
    'end-3',
    'MUST',
    'a tag has at most 128 characters, and a name no other than its expression allows',
    async ({ ask, image, repository }) => {
      const { digest } = await image('a'.repeat(128));
      expect((await ask('HEAD', `/v2/${repository}/manifests/${'a'.repeat(128)}`)).status).toBe(200);
      const put = await ask('PUT', `/v2/${repository}/manifests/${'a'.repeat(129)}`, '{}');
      expect(put.status).toBeGreaterThanOrEqual(400);
      for (const name of ['UPPER/app', 'a..b/app', '-a/app', 'a//b']) {
        expect((await ask('GET', `/v2/${name}/manifests/${digest}`)).status).toBeGreaterThanOrEqual(300);
      }
    },
  ],
]);

requirements(
  'Pulling blobs',
  [
    [
      'end-2',
      'MUST',
      'a blob comes by its digest, 200 and byte for byte',
      async ({ ask, blob, repository }) => {
        for (const size of [0, 1, 70_000]) {
          const bytes = noise(size, 'pulled');
          const found = await ask('GET', `/v2/${repository}/blobs/${await blob(bytes)}`);
          expect(found.status).toBe(200);
          expect(found.bytes.equals(bytes)).toBe(true);
        }
      },
    ],
    [
      'end-2',
      'SHOULD',
      'Docker-Content-Digest is the digest of the body',
      async ({ ask, blob, repository }) => {
        const digest = await blob(noise(900, 'digest'));
        expect((await ask('GET', `/v2/${repository}/blobs/${digest}`)).headers['docker-content-digest']).toBe(digest);
      },
    ],
    [
      'end-2',
      'MUST',
      'a blob that the repository does not hold answers 404, also when another one does',
      async ({ ask, blob, repository, other }) => {
        const digest = await blob(noise(900, 'elsewhere'), other);
        await blob(noise(10, 'here'));
        expect(await ask('GET', `/v2/${repository}/blobs/${digest}`)).toMatchObject({
          status: 404,
          code: 'BLOB_UNKNOWN',
        });
      },
    ],
    [
      'end-2',
      'SHOULD',
      'a Range is answered by 206 with that part of the bytes',
      async ({ ask, blob, repository }) => {
        const bytes = noise(1000, 'range');
        const url = `/v2/${repository}/blobs/${await blob(bytes)}`;
        for (const [range, start, end] of [
          ['0-0', 0, 0],
          ['100-199', 100, 199],
          ['990-', 990, 999],
          ['990-2000', 990, 999],
          ['-10', 990, 999],
          ['-5000', 0, 999],
        ] as const) {
          const part = await ask('GET', url, undefined, { range: `bytes=${range}` });
          expect(part).toMatchObject({ status: 206, headers: { 'content-range': `bytes ${start}-${end}/1000` } });
          expect(part.bytes.equals(bytes.subarray(start, end + 1))).toBe(true);
        }
      },
    ],
    [
      'end-2',
      'SHOULD',
      'a Range that lies behind the end is answered by 416',
      async ({ ask, blob, repository }) => {
        const url = `/v2/${repository}/blobs/${await blob(noise(1000, 'behind'))}`;
        expect((await ask('GET', url, undefined, { range: 'bytes=1000-' })).status).toBe(416);
        expect((await ask('GET', url, undefined, { range: 'bytes=500-0' })).status).toBe(416);
      },
    ],
  ],
  { debianLacks: ['a Range that lies behind the end is answered by 416'] },
); // it ends the connection

requirements('Checking if content exists', [
  [
    'end-2',
    'MUST',
    'HEAD of a blob answers 200 with digest and size and no body, and 404 when it is not there',
    async ({ ask, blob, repository }) => {
      const digest = await blob(noise(1234, 'head'));
      const headers = { 'docker-content-digest': digest, 'content-length': '1234' };
      expect(await ask('HEAD', `/v2/${repository}/blobs/${digest}`)).toMatchObject({ status: 200, headers });
      expect((await ask('HEAD', `/v2/${repository}/blobs/${digest}`)).bytes).toHaveLength(0);
      expect((await ask('HEAD', `/v2/${repository}/blobs/${NOWHERE}`)).status).toBe(404);
    },
  ],
  [
    'end-3',
    'MUST',
    'HEAD of a manifest answers 200 with digest and size and no body, and 404 when it is not there',
    async ({ ask, image, repository }) => {
      const { digest, bytes } = await image('v1');
      for (const reference of ['v1', digest]) {
        const found = await ask('HEAD', `/v2/${repository}/manifests/${reference}`);
        const headers = { 'docker-content-digest': digest, 'content-length': `${bytes.length}` };
        expect(found).toMatchObject({ status: 200, headers });
        expect(found.bytes).toHaveLength(0);
      }
      expect((await ask('HEAD', `/v2/${repository}/manifests/none`)).status).toBe(404);
    },
  ],
]);
