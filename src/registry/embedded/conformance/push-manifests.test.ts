import { Readable } from 'node:stream';

import { request } from 'undici';
import { expect } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { MAX_MANIFEST_BYTES, OCI_INDEX, OCI_MANIFEST } from '../../manifest.ts';
import { testImage, testIndex, testReferrer } from '../../testing/images.ts';
import { requirements } from '../../testing/requirements.ts';
import type { Talk } from '../../testing/talk.ts';

const CONFIG = 'application/vnd.oci.image.config.v1+json';

/** A manifest of a config alone, made as large as wanted by an annotation. */
async function manifestOf({ blob }: Talk, more: Record<string, unknown> = {}, size = 0) {
  const config = Buffer.from('{}');
  await blob(config);
  const plain = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: CONFIG, digest: sha256(config), size: config.length },
    layers: [],
    ...more,
  };
  const rest = size - JSON.stringify({ ...plain, annotations: { pad: '' } }).length;
  const bytes = Buffer.from(JSON.stringify(size === 0 ? plain : { ...plain, annotations: { pad: 'x'.repeat(rest) } }));
  return { mediaType: OCI_MANIFEST, bytes, digest: sha256(bytes) };
}

requirements(
  'Pushing manifests',
  [
    [
      'end-7a',
      'MUST',
      'the very bytes are stored, by tag or by digest: 201 with the location of the manifest and its digest',
      async (talk) => {
        const { bytes: plain } = await manifestOf(talk);
        const bytes = Buffer.from(`\n ${plain.toString().replaceAll(',', ' ,\t')}\n`); // no serialiser writes it so
        for (const reference of ['odd', sha256(bytes)]) {
          const put = await talk.put(reference, { mediaType: OCI_MANIFEST, bytes });
          expect(put).toMatchObject({ status: 201, headers: { 'docker-content-digest': sha256(bytes) } });
          const found = await talk.ask('GET', put.headers['location'] ?? '');
          expect(found.status).toBe(200);
          expect(found.bytes.equals(bytes)).toBe(true);
        }
      },
    ],
    [
      'end-7a',
      'MUST',
      'the list of blobs may be empty',
      async (talk) => expect((await talk.put('empty', await manifestOf(talk))).status).toBe(201),
    ],
    [
      'end-7a',
      'SHOULD',
      'parameters of Content-Type are ignored',
      async (talk) => {
        const { bytes } = await manifestOf(talk);
        expect((await talk.put('v1', { mediaType: `${OCI_MANIFEST}; charset=utf-8`, bytes })).status).toBe(201);
        const found = await talk.ask('HEAD', `/v2/${talk.repository}/manifests/v1`);
        expect(found.headers['content-type']).toBe(OCI_MANIFEST);
      },
    ],
    [
      'end-7a',
      'MUST',
      'a digest that is not that of the bytes is refused: 400 DIGEST_INVALID',
      async (talk) => {
        const refused = await talk.put(sha256('something else'), await manifestOf(talk));
        expect(refused).toMatchObject({ status: 400, code: 'DIGEST_INVALID' });
      },
    ],
    [
      'end-7a',
      'MUST',
      'a manifest that is refused because a blob is not there is MANIFEST_BLOB_UNKNOWN',
      async (talk) => {
        const image = await testImage([{ never: 'pushed' }]);
        await talk.blob(image.config);
        const refused = await talk.put('half', image);
        expect(refused.code).toBe('MANIFEST_BLOB_UNKNOWN');
        expect((await talk.ask('HEAD', `/v2/${talk.repository}/manifests/half`)).status).toBe(404);
      },
    ],
    [
      'end-7a',
      'MUST',
      'what is no manifest is refused: 400 MANIFEST_INVALID',
      async (talk) => {
        for (const text of ['', 'no JSON', '[]', '{"schemaVersion":2}']) {
          const refused = await talk.put('bad', { mediaType: OCI_MANIFEST, bytes: Buffer.from(text) });
          expect(refused).toMatchObject({ status: 400, code: 'MANIFEST_INVALID' });
        }
      },
    ],
    [
      'end-7a',
      'SHOULD',
      'a manifest of 4 MiB is taken',
      async (talk) =>
        expect((await talk.put('large', await manifestOf(talk, {}, MAX_MANIFEST_BYTES))).status).toBe(201),
    ],
    [
      'end-7a',
      'SHOULD',
      'one that is larger is answered by 413, whether its length is told or not',
      async (talk) => {
        const { bytes } = await manifestOf(talk, {}, MAX_MANIFEST_BYTES + 1);
        const refused = { status: 413, code: 'MANIFEST_INVALID' };
        expect(await talk.put('larger', { mediaType: OCI_MANIFEST, bytes })).toMatchObject(refused);
        const url = new URL(`/v2/${talk.repository}/manifests/larger`, talk.origin);
        const headers = { 'content-type': OCI_MANIFEST };
        const streamed = await request(url, { method: 'PUT', body: Readable.from([bytes]), headers });
        expect(streamed.statusCode).toBe(413);
        await streamed.body.dump();
      },
    ],
    [
      'end-7a',
      'MUST',
      'an index is taken whole, once its images are there, and so is an index of an index',
      async (talk) => {
        const index = testIndex([await talk.image(), await talk.image()]);
        expect((await talk.put('both', index)).status).toBe(201);
        const bytes = Buffer.from(
          JSON.stringify({
            schemaVersion: 2,
            mediaType: OCI_INDEX,
            manifests: [{ mediaType: OCI_INDEX, digest: index.digest, size: index.bytes.length }],
          }),
        );
        expect((await talk.put('nested', { mediaType: OCI_INDEX, bytes })).status).toBe(201);
        const found = await talk.ask('GET', `/v2/${talk.repository}/manifests/nested`);
        expect(found.bytes.equals(bytes)).toBe(true);
      },
    ],
    [
      'end-7b',
      'SHOULD',
      'ten tags come with one push by digest, and OCI-Tag says which were made',
      async (talk) => {
        const manifest = await manifestOf(talk);
        const tags = Array.from({ length: 10 }, (_, n) => `t${n}`);
        const put = await talk.put(`${manifest.digest}?${tags.map((tag) => `tag=${tag}`).join('&')}`, manifest);
        expect(put.status).toBe(201);
        expect(put.headers['oci-tag']?.split(', ')).toEqual(tags);
        for (const tag of tags) {
          const found = await talk.ask('HEAD', `/v2/${talk.repository}/manifests/${tag}`);
          expect(found.headers['docker-content-digest']).toBe(manifest.digest);
        }
      },
    ],
  ],
  {
    debianLacks: [
      'what is no manifest is refused: 400 MANIFEST_INVALID',
      'one that is larger is answered by 413, whether its length is told or not',
      'ten tags come with one push by digest, and OCI-Tag says which were made',
    ],
  },
);

requirements(
  'Pushing manifests with a subject',
  [
    [
      'end-7a',
      'MUST',
      'a subject that is not there yet is no reason to refuse',
      async (talk) => {
        await talk.blob(Buffer.from('{}'));
        const manifest = testReferrer(await testImage([{ never: 'pushed' }]), 'application/vnd.towpath.test', 'early');
        expect((await talk.put(sha256(manifest.bytes), manifest)).status).toBe(201);
      },
    ],
    [
      'end-7a',
      'MUST',
      'OCI-Subject says that the subject of an image was taken note of',
      async (talk) => {
        const subject = await talk.image('v1');
        await talk.blob(Buffer.from('{}'));
        const manifest = testReferrer(subject, 'application/vnd.towpath.test', 'noted');
        const put = await talk.put(sha256(manifest.bytes), manifest);
        expect(put).toMatchObject({ status: 201, headers: { 'oci-subject': subject.digest } });
      },
    ],
    [
      'end-7a',
      'MUST',
      'OCI-Subject says so of an index too',
      async (talk) => {
        const subject = await talk.image('v1');
        const about = { mediaType: OCI_MANIFEST, digest: subject.digest, size: subject.bytes.length };
        const bytes = Buffer.from(
          JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], subject: about }),
        );
        const put = await talk.put(sha256(bytes), { mediaType: OCI_INDEX, bytes });
        expect(put).toMatchObject({ status: 201, headers: { 'oci-subject': subject.digest } });
      },
    ],
  ],
  {
    debianLacks: [
      'OCI-Subject says that the subject of an image was taken note of',
      'OCI-Subject says so of an index too',
    ],
  },
);
