import { Readable } from 'node:stream';

import type { Digest } from '../../lib/digest.ts';
import { hasCode } from '../../lib/error.ts';
import { RegistryError } from '../error.ts';
import { errorOf } from './answers.ts';
import { isRetriedStatus } from './retry.ts';
import { locationOf, textOf } from './transport.ts';
import type { RegistryResponse, Transport } from './transport.ts';

export interface Upload {
  readonly repository: string;
  readonly digest: Digest;
  readonly size: number;
  readonly open: () => Readable | Buffer;
  readonly scopes: readonly string[];
}

/** Up to here a blob goes in one request; above, in a session that goes on where a broken connection left it. */
const ONE_REQUEST_BYTES = 1024 * 1024;

/**
 * Sends a blob that the registry lacks. After a broken connection or a restart of the registry the same session goes on
 * from the byte that it reached; a registry that forgot the session gets a new one.
 * @throws RegistryError
 */
export async function uploadBlob(transport: Transport, upload: Upload): Promise<void> {
  const what = `take the blob ${upload.digest} of ${upload.repository}`;
  let session: Session | null = null;
  for (let attempt = 1; ; attempt++) {
    const last = attempt >= transport.attempts;
    try {
      if (session === null && attempt > 1 && (await isThere(transport, upload))) return;
      session ??= await begin(transport, upload, what);
      const response = await advance(transport, upload, session);
      if (response.statusCode === 201 || response.statusCode === 204) {
        await response.body.dump();
        return;
      }
      const worthwhile = isRetriedStatus(response.statusCode) || [401, 404, 416].includes(response.statusCode);
      const error = await errorOf(response, what);
      if (last || !worthwhile) throw error;
    } catch (error) {
      if (last || !hasCode(error, 'registry.unreachable')) throw error;
    }
    await transport.pause(attempt);
    session = session === null ? null : await resume(transport, upload, session);
  }
}

/** Where the next part goes, and how much has arrived. Each answer may name a new place. */
interface Session {
  url: URL;
  offset: number;
}

async function begin(transport: Transport, { repository, scopes }: Upload, what: string): Promise<Session> {
  const response = await transport.send({ method: 'POST', url: `/v2/${repository}/blobs/uploads/`, scopes });
  const url = response.statusCode === 202 ? locationOf(response) : null;
  if (url === null) throw await errorOf(response, what);
  await response.body.dump();
  return { url, offset: 0 };
}

async function advance(transport: Transport, upload: Upload, session: Session): Promise<RegistryResponse> {
  const { scopes, size, digest } = upload;
  const rest = size - session.offset;
  if (size > ONE_REQUEST_BYTES && rest > 0) {
    const range = session.offset === 0 ? null : `${session.offset}-${size - 1}`;
    const patched = await transport.send({
      method: 'PATCH',
      url: session.url,
      scopes,
      tries: 'once',
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': `${rest}`,
        ...(range && { 'content-range': range }),
      },
      ...contentFrom(upload, session.offset),
    });
    if (patched.statusCode !== 202 && patched.statusCode !== 204) return patched;
    await patched.body.dump();
    session.url = locationOf(patched) ?? session.url;
    session.offset = size;
  }
  const url = new URL(session.url);
  url.searchParams.set('digest', digest);
  const whole = session.offset === 0;
  return transport.send({
    method: 'PUT',
    url,
    scopes,
    tries: 'once',
    headers: { 'content-type': 'application/octet-stream', 'content-length': `${whole ? size : 0}` },
    ...(whole ? contentFrom(upload, 0) : {}),
  });
}

/** @returns null when the registry no longer knows the session, or does not say how far it came */
async function resume(transport: Transport, { scopes, size }: Upload, session: Session): Promise<Session | null> {
  if (size <= ONE_REQUEST_BYTES) return null;
  const response = await transport.send({ method: 'GET', url: session.url, scopes });
  await response.body.dump();
  const [, end] = /^(?:bytes=)?0-(\d+)$/.exec(textOf(response.headers['range']) ?? '') ?? [];
  if (response.statusCode !== 204 || end === undefined) return null;
  // `0-0` says nothing or one byte; taken as nothing, the worst is one more 416.
  const offset = end === '0' ? 0 : Number(end) + 1;
  return offset > size ? null : { url: locationOf(response) ?? session.url, offset };
}

async function isThere(transport: Transport, { repository, digest, scopes }: Upload): Promise<boolean> {
  const response = await transport.send({ method: 'HEAD', url: `/v2/${repository}/blobs/${digest}`, scopes });
  await response.body.dump();
  return response.statusCode === 200;
}

function contentFrom({ open }: Upload, offset: number): { body: Buffer | Readable } {
  const content = open();
  if (!(content instanceof Readable)) return { body: content.subarray(offset) };
  content.on('error', () => {}); // it may fail before anyone reads; whoever reads is told
  return { body: Readable.from(skipped(content, offset), { objectMode: false }) };
}

async function* skipped(content: Readable, offset: number): AsyncGenerator<Buffer> {
  let left = offset;
  try {
    for await (const chunk of content as AsyncIterable<Buffer>) {
      if (chunk.length > left) yield left === 0 ? chunk : chunk.subarray(left);
      left = Math.max(0, left - chunk.length);
    }
  } catch (error) {
    if (error instanceof RegistryError) throw error;
    throw unreadable(error); // the source failed, not the connection: trying again with the registry is in vain
  }
}

/** The source failed, not the connection: trying again is in vain. */
export function unreadable(cause: unknown): RegistryError {
  return new RegistryError(
    {
      code: 'registry.failed',
      what: 'The content of a blob could not be read while it was sent.',
      fix: 'Look at what it is read from; then push again.',
    },
    { cause },
  );
}
