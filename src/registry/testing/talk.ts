import { request } from 'undici';
import { expect } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { MANIFEST_TYPES } from '../manifest.ts';
import { noise, testImage, testReferrer } from './images.ts';
import type { TestImage } from './images.ts';

export type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly bytes: Buffer;
  /** The first error's code, where the body is an error of the specification. */
  readonly code: string | null;
}

/** Plain HTTP to a registry, with no client of ours between, about a repository that nobody else knows. */
export interface Talk {
  readonly origin: string;
  readonly repository: string;
  /** Another repository of the same registry. */
  readonly other: string;
  readonly ask: (
    method: Method,
    path: string,
    body?: Buffer | string,
    headers?: Record<string, string>,
  ) => Promise<Reply>;
  /** Begins an upload. @returns its location */
  readonly begin: (repository?: string) => Promise<string>;
  /** Pushes a blob by POST and PUT. @returns its digest */
  readonly blob: (bytes: Buffer, repository?: string) => Promise<string>;
  /** Pushes an image, with a tag or by its digest. */
  readonly image: (tag?: string, repository?: string) => Promise<TestImage>;
  /** Pushes a manifest that says something about an image. @returns its digest */
  readonly referrer: (subject: TestImage, type: string, more?: Record<string, unknown>) => Promise<string>;
  readonly put: (
    reference: string,
    manifest: { mediaType: string; bytes: Buffer },
    repository?: string,
  ) => Promise<Reply>;
}

/** A registry may answer 404 to who does not name the type (distribution does). */
const ACCEPT = MANIFEST_TYPES.join(', ');

let count = 0;

export function talkTo(host: string): Talk {
  const name = `conformance/r${process.pid}-${++count}`;
  const talk: Talk = {
    origin: `http://${host}`,
    repository: name,
    other: `${name}-other`,
    ask: async (method, path, body, headers = {}) => {
      const url = new URL(path, talk.origin);
      const answer = await request(url, { method, body: body ?? null, headers: { accept: ACCEPT, ...headers } });
      const bytes = Buffer.from(await answer.body.arrayBuffer());
      const code = /"code":"([A-Z_]+)"/.exec(bytes.toString('latin1'))?.[1] ?? null;
      return { status: answer.statusCode, headers: answer.headers as Record<string, string>, bytes, code };
    },
    begin: async (repository = name) => {
      const begun = await talk.ask('POST', `/v2/${repository}/blobs/uploads/`, '', { 'content-length': '0' });
      expect(begun.status).toBe(202);
      return begun.headers['location'] ?? '';
    },
    blob: async (bytes, repository = name) => {
      const digest = sha256(bytes);
      const done = await talk.ask('PUT', withQuery(await talk.begin(repository), `digest=${digest}`), bytes);
      expect(done.status).toBe(201);
      return digest;
    },
    image: async (tag, repository = name) => {
      const image = await testImage([{ data: noise(3000, `${repository}${++count}`) }]);
      for (const blob of [image.config, ...image.layers]) await talk.blob(blob, repository);
      expect((await talk.put(tag ?? image.digest, image, repository)).status).toBe(201);
      return image;
    },
    referrer: async (subject, type, more = {}) => {
      await talk.blob(Buffer.from('{}'));
      const plain = testReferrer(subject, type, `${++count}`);
      const bytes = Buffer.from(JSON.stringify({ ...(JSON.parse(plain.bytes.toString()) as object), ...more }));
      const digest = sha256(bytes);
      expect((await talk.put(digest, { mediaType: plain.mediaType, bytes })).status).toBe(201);
      return digest;
    },
    put: async (reference, { mediaType, bytes }, repository = name) =>
      talk.ask('PUT', `/v2/${repository}/manifests/${reference}`, bytes, { 'content-type': mediaType }),
  };
  return talk;
}

/** A location may have a query of its own already. */
export function withQuery(location: string, query: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}${query}`;
}
