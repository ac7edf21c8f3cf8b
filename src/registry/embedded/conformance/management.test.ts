import { expect } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { noise } from '../../testing/images.ts';
import { requirements } from '../../testing/requirements.ts';

const NOWHERE = sha256('nothing');

/** All that distribution-spec 1.1 has. */
const ERROR_CODES = new Set([
  'BLOB_UNKNOWN',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UPLOAD_UNKNOWN',
  'DIGEST_INVALID',
  'MANIFEST_BLOB_UNKNOWN',
  'MANIFEST_INVALID',
  'MANIFEST_UNKNOWN',
  'NAME_INVALID',
  'NAME_UNKNOWN',
  'SIZE_INVALID',
  'UNAUTHORIZED',
  'DENIED',
  'UNSUPPORTED',
  'TOOMANYREQUESTS',
]);

requirements(
  'Deleting tags, manifests and blobs',
  [
    [
      'end-9',
      'MUST',
      'a tag is deleted, 202, or cannot be, 400 or 405',
      async ({ ask, image, repository }) => {
        await image('v1');
        expect([202, 400, 405]).toContain((await ask('DELETE', `/v2/${repository}/manifests/v1`)).status);
      },
    ],
    [
      'end-9',
      'MUST',
      'a tag that was deleted is gone, and its manifest is not',
      async ({ ask, image, put, repository }) => {
        const one = await image('v1');
        await put('v2', one);
        expect((await ask('DELETE', `/v2/${repository}/manifests/v1`)).status).toBe(202);
        expect((await ask('GET', `/v2/${repository}/manifests/v1`)).status).toBe(404);
        for (const reference of ['v2', one.digest]) {
          expect((await ask('GET', `/v2/${repository}/manifests/${reference}`)).status).toBe(200);
        }
      },
    ],
    [
      'end-9',
      'MUST',
      'a manifest that was deleted, 202, is gone with its tags',
      async ({ ask, image, put, repository }) => {
        const one = await image('v1');
        await put('v2', one);
        expect((await ask('DELETE', `/v2/${repository}/manifests/${one.digest}`)).status).toBe(202);
        for (const reference of ['v1', 'v2', one.digest]) {
          expect((await ask('GET', `/v2/${repository}/manifests/${reference}`)).status).toBe(404);
        }
      },
    ],
    [
      'end-9',
      'MUST',
      'deleting a manifest of a repository that is not there answers 404',
      async ({ ask, other }) => {
        expect((await ask('DELETE', `/v2/${other}/manifests/${NOWHERE}`)).status).toBe(404);
      },
    ],
    [
      'end-9',
      'MUST',
      'a referrer that was deleted is in no list of its subject',
      async ({ ask, image, referrer, repository }) => {
        const subject = await image('v1');
        const digest = await referrer(subject, 'application/vnd.towpath.test');
        expect((await ask('DELETE', `/v2/${repository}/manifests/${digest}`)).status).toBe(202);
        const list = await ask('GET', `/v2/${repository}/referrers/${subject.digest}`);
        expect(JSON.parse(list.bytes.toString())).toMatchObject({ manifests: [] });
      },
    ],
    [
      'end-10',
      'MUST',
      'a blob that was deleted, 202, is gone, and another repository keeps its own',
      async ({ ask, blob, repository, other }) => {
        const bytes = noise(300, 'deleted');
        const digest = await blob(bytes);
        await blob(bytes, other);
        expect((await ask('DELETE', `/v2/${repository}/blobs/${digest}`)).status).toBe(202);
        expect((await ask('GET', `/v2/${repository}/blobs/${digest}`)).status).toBe(404);
        expect((await ask('GET', `/v2/${other}/blobs/${digest}`)).status).toBe(200);
      },
    ],
    [
      'end-10',
      'MUST',
      'deleting a blob that is not there answers 404',
      async ({ ask, blob, repository }) => {
        await blob(noise(10));
        const answer = await ask('DELETE', `/v2/${repository}/blobs/${NOWHERE}`);
        expect(answer).toMatchObject({ status: 404, code: 'BLOB_UNKNOWN' });
      },
    ],
  ],
  {
    debianLacks: [
      'a tag that was deleted is gone, and its manifest is not',
      'a referrer that was deleted is in no list of its subject',
    ],
  },
);

requirements(
  'Error codes',
  [
    [
      'end-1',
      'MUST',
      'an error is JSON whose codes are those of the specification, each for what happened',
      async ({ ask, image, begin, repository }) => {
        const { digest, mediaType } = await image('v1');
        const upload = (await begin()).replace(/^https?:\/\/[^/]+/, '');
        const at = `/v2/${repository}`;
        for (const [method, path, status, code, body, headers] of [
          ['GET', `${at}/manifests/none`, 404, 'MANIFEST_UNKNOWN'],
          ['GET', `${at}/blobs/${NOWHERE}`, 404, 'BLOB_UNKNOWN'],
          ['GET', `${at}/blobs/sha256:abc`, 400, 'DIGEST_INVALID'],
          ['GET', '/v2/UPPER/manifests/v1', 400, 'NAME_INVALID'],
          ['GET', `/v2/UPPER/blobs/${NOWHERE}`, 400, 'NAME_INVALID'],
          ['GET', '/v2/never/pushed/tags/list', 404, 'NAME_UNKNOWN'],
          ['PUT', `${at}/manifests/${digest}`, 400, 'MANIFEST_INVALID', '{', { 'content-type': mediaType }],
          ['PUT', `${at}/manifests/${'x'.repeat(129)}`, 400, 'NAME_INVALID', '{}', { 'content-type': mediaType }],
          ['PUT', `/v2/${'a/'.repeat(127)}bc/manifests/v1`, 400, 'NAME_INVALID', '{}', { 'content-type': mediaType }],
          ['PATCH', upload, 400, 'BLOB_UPLOAD_INVALID', 'x', { 'content-range': 'first-last' }],
          ['PATCH', upload, 400, 'SIZE_INVALID', 'x', { 'content-range': '0-9' }],
          ['PATCH', upload, 416, 'BLOB_UPLOAD_INVALID', 'x', { 'content-range': '5-5' }],
          ['PATCH', `${upload}0`, 404, 'BLOB_UPLOAD_UNKNOWN', 'x'],
          ['PUT', upload, 400, 'DIGEST_INVALID'],
          ['POST', `${at}/blobs/uploads/?digest-algorithm=md5`, 400, 'DIGEST_INVALID'],
          ['POST', `${at}/manifests/v1`, 405, 'UNSUPPORTED'],
        ] as const) {
          const answer = await ask(method, path, body, headers);
          expect([method, path, answer.status, answer.code]).toEqual([method, path, status, code]);
          const { errors } = JSON.parse(answer.bytes.toString()) as { errors: { code: string; message: string }[] };
          expect(errors.every((error) => ERROR_CODES.has(error.code) && error.message !== '')).toBe(true);
        }
      },
    ],
  ],
  { debianLacks: ['an error is JSON whose codes are those of the specification, each for what happened'] },
);
