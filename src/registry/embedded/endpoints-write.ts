import type { IncomingMessage } from 'node:http';

import { hasCode } from '../../lib/error.ts';
import { RegistryError } from '../error.ts';
import { MAX_MANIFEST_BYTES, manifestTooLarge } from '../manifest.ts';
import { checkRepository } from '../reference.ts';
import { checkAlgorithm, checkContentDigest } from './content-digest.ts';
import type { ContentDigest } from './content-digest.ts';
import { checkReference, notFound, send } from './exchange.ts';
import type { Exchange } from './exchange.ts';

export async function writeManifest(exchange: Exchange, repository: string, reference: string): Promise<void> {
  const { request, query, stores } = exchange;
  const mediaType = request.headers['content-type']?.split(';')[0]?.trim() ?? null;
  const tags = query.getAll('tag');
  const bytes = await bodyOf(exchange, MAX_MANIFEST_BYTES);
  const { digest, manifest } = await stores.manifests.put({ repository, reference, bytes, mediaType, tags });
  send(exchange, 201, {
    location: `/v2/${repository}/manifests/${digest}`,
    'docker-content-digest': digest,
    ...(manifest.subject === null ? {} : { 'oci-subject': manifest.subject.digest }),
    ...(tags.length === 0 ? {} : { 'oci-tag': tags.join(', ') }),
  });
}

export async function deleteManifest(exchange: Exchange, repository: string, reference: string): Promise<void> {
  checkReference(repository, reference);
  await requireNotNeeded(exchange, repository, reference);
  if (await exchange.stores.manifests.remove(repository, reference)) return send(exchange, 202);
  throw notFound(`${repository} has no manifest "${reference.slice(0, 140)}".`);
}

export async function deleteBlob(exchange: Exchange, repository: string, digest: string): Promise<void> {
  await requireNotNeeded(exchange, repository, digest);
  if (await exchange.stores.repositories.removeBlob(repository, checkContentDigest(digest))) return send(exchange, 202);
  throw notFound(`${repository} has no blob ${digest}.`);
}

/** `?mount&from` links a blob of another repository; `?digest` takes a whole blob at once; else an upload begins. */
export async function beginUpload(exchange: Exchange, repository: string): Promise<void> {
  const { query, request, stores } = exchange;
  const mount = query.get('mount');
  if (mount !== null && (await mountBlob(exchange, repository, checkContentDigest(mount), query.get('from')))) {
    return send(exchange, 201, created(repository, checkContentDigest(mount)));
  }
  checkAlgorithm(query.get('digest-algorithm'));
  const whole = query.get('digest');
  const digest = whole === null ? null : checkContentDigest(whole);
  const id = await stores.uploads.begin(repository);
  if (digest === null) return send(exchange, 202, progress(repository, id, 0));
  await stores.uploads.append(repository, id, request, null);
  await complete(exchange, repository, id, digest);
}

export async function showUpload(exchange: Exchange, repository: string, id: string): Promise<void> {
  send(exchange, 204, progress(repository, id, await sizeOf(exchange, repository, id)));
}

export async function continueUpload(exchange: Exchange, repository: string, id: string): Promise<void> {
  const { request, stores } = exchange;
  const size = await inOrder(exchange, repository, id, () =>
    stores.uploads.append(repository, id, request, startOf(request)),
  );
  send(exchange, 202, progress(repository, id, size));
}

/** Takes the last part, if there is one, and the digest of the whole. */
export async function finishUpload(exchange: Exchange, repository: string, id: string): Promise<void> {
  const { query, request, stores } = exchange;
  const digest = checkContentDigest(query.get('digest') ?? '');
  await inOrder(exchange, repository, id, () => stores.uploads.append(repository, id, request, startOf(request)));
  await complete(exchange, repository, id, digest);
}

export async function cancelUpload(exchange: Exchange, repository: string, id: string): Promise<void> {
  if (await exchange.stores.uploads.cancel(repository, id)) return send(exchange, 204);
  throw notFound(`There is no upload "${id.slice(0, 60)}" in ${repository}.`);
}

async function complete(exchange: Exchange, repository: string, id: string, digest: ContentDigest): Promise<void> {
  const { uploads, repositories } = exchange.stores;
  await uploads.finish(repository, id, digest);
  await repositories.addBlob(repository, digest);
  send(exchange, 201, created(repository, digest));
}

async function mountBlob(
  { stores, mayPull }: Exchange,
  repository: string,
  digest: ContentDigest,
  from: string | null,
): Promise<boolean> {
  if (from === null) return false; // from anywhere: that would tell what other repositories hold
  checkRepository(from);
  if (!(await mayPull(from)) || !(await stores.repositories.hasBlob(from, digest))) return false;
  if ((await stores.blobs.size(digest)) === null) return false;
  await stores.repositories.addBlob(repository, digest);
  return true;
}

/** What Towpath has named is deleted by Towpath, when nothing needs it. */
async function requireNotNeeded({ stores }: Exchange, repository: string, reference: string): Promise<void> {
  const tag = await stores.manifests.ownNeeding(repository, reference);
  if (tag === null) return;
  throw new RegistryError({
    code: 'registry.still-needed',
    what: `Towpath itself gave the tag "${tag}" of ${repository}, which needs this.`,
    fix: 'Delete nothing of it: when no environment needs it any more, Towpath removes it.',
  });
}

/** With the refusal of a part that came out of order goes where the upload stands. */
async function inOrder(exchange: Exchange, repository: string, id: string, act: () => Promise<number>) {
  try {
    return await act();
  } catch (error) {
    if (hasCode(error, 'registry.upload-range')) {
      const at = progress(repository, id, await sizeOf(exchange, repository, id));
      for (const [name, value] of Object.entries(at)) exchange.response.setHeader(name, value);
    }
    throw error;
  }
}

async function sizeOf({ stores }: Exchange, repository: string, id: string): Promise<number> {
  const size = await stores.uploads.size(repository, id);
  if (size === null) throw notFound(`There is no upload "${id.slice(0, 60)}" in ${repository}.`);
  return size;
}

function progress(repository: string, id: string, size: number): Record<string, string> {
  return {
    location: `/v2/${repository}/blobs/uploads/${id}`,
    range: `0-${Math.max(0, size - 1)}`,
    'docker-upload-uuid': id,
  };
}

function created(repository: string, digest: ContentDigest): Record<string, string> {
  return { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest };
}

/** `Content-Range: 100-199`, with or without `bytes `: where the part begins, when its length is what it says. */
function startOf({ headers }: IncomingMessage): number | null {
  const range = headers['content-range'];
  if (range === undefined) return null;
  const [, start, end] = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/.*)?$/.exec(range) ?? [];
  if (start === undefined || end === undefined) {
    throw new RegistryError({
      code: 'registry.range-invalid',
      what: `"${range.slice(0, 60)}" is not a Content-Range of an upload.`,
      fix: 'Write it as `<first byte>-<last byte>`.',
    });
  }
  const length = headers['content-length'];
  if (length === undefined || Number(length) === Number(end) - Number(start) + 1) return Number(start);
  throw new RegistryError({
    code: 'registry.size-invalid',
    what: `The part ${range.slice(0, 60)} was sent with ${length.slice(0, 20)} bytes.`,
    fix: 'Count both ends of the range: 0-99 are 100 bytes.',
  });
}

async function bodyOf({ request }: Exchange, limit: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limit) throw manifestTooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  // The request stays open, so that a refusal can be answered.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw manifestTooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
