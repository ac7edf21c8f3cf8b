import { OCI_INDEX } from '../manifest.ts';
import { checkContentDigest } from './content-digest.ts';
import { checkReference, notFound, send, sendJson } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { answerWithFile } from './file-answer.ts';
import { indexOf, pageOf, referrersPage } from './pages.ts';

export async function readManifest(exchange: Exchange, repository: string, reference: string): Promise<void> {
  const { manifests } = exchange.stores;
  checkReference(repository, reference);
  const head = exchange.request.method === 'HEAD';
  const found = head ? await manifests.find(repository, reference) : await manifests.read(repository, reference);
  if (found === null) throw notFound(`${repository} has no manifest "${reference.slice(0, 140)}".`);
  const headers = {
    'content-type': found.mediaType,
    'docker-content-digest': found.digest,
    etag: `"${found.digest}"`,
    'content-length': 'bytes' in found ? found.bytes.length : found.size,
  };
  if (isKnown(exchange, found.digest)) return send(exchange, 304, { etag: `"${found.digest}"` });
  send(exchange, 200, headers, 'bytes' in found ? found.bytes : undefined);
}

/** Serves a blob or one range of it (RFC 9110); a header that asks for several ranges is answered with the whole. */
export async function readBlob(exchange: Exchange, repository: string, text: string): Promise<void> {
  const { blobs, repositories } = exchange.stores;
  const digest = checkContentDigest(text);
  const size = (await repositories.hasBlob(repository, digest)) ? await blobs.size(digest) : null;
  if (size === null) throw notFound(`${repository} has no blob ${digest}.`);
  if (isKnown(exchange, digest)) return send(exchange, 304, { etag: `"${digest}"` });
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
    'cache-control': 'max-age=31536000, immutable',
    etag: `"${digest}"`,
  };
  const range = rangeOf(exchange.request.headers.range, size);
  if (range === 'unsatisfiable') return send(exchange, 416, { ...headers, 'content-range': `bytes */${size}` });
  const { response } = exchange;
  const content = exchange.request.method === 'HEAD' ? null : await blobs.open(digest);
  if (range === null) response.writeHead(200, { ...headers, 'content-length': size });
  else {
    const part = `bytes ${range.start}-${range.end}/${size}`;
    response.writeHead(206, { ...headers, 'content-length': range.end - range.start + 1, 'content-range': part });
  }
  if (content === null) response.end();
  else await answerWithFile(response, content, range ?? { start: 0, end: size - 1 });
}

export async function listTags(exchange: Exchange, repository: string): Promise<void> {
  const tags = await exchange.stores.repositories.tags(repository);
  if (tags === null) throw notFound(`There is no repository ${repository}.`);
  const { page, headers } = pageOf(tags, exchange, `/v2/${repository}/tags/list`);
  sendJson(exchange, 200, headers, { name: repository, tags: page });
}

export async function listRepositories(exchange: Exchange): Promise<void> {
  const { page, headers } = pageOf(await exchange.stores.repositories.repositories(), exchange, '/v2/_catalog');
  sendJson(exchange, 200, headers, { repositories: page });
}

/** A subject that is not there, or not yet, has an empty list and not an error. */
export async function listReferrers(exchange: Exchange, repository: string, digest: string): Promise<void> {
  const all = await exchange.stores.repositories.referrers(repository, checkContentDigest(digest));
  const type = exchange.query.get('artifactType');
  const wanted = type === null ? all : all.filter(({ artifactType }) => artifactType === type);
  const { page, headers } = referrersPage(wanted, exchange.query, `/v2/${repository}/referrers/${digest}`);
  const filtered: Record<string, string> = type === null ? {} : { 'oci-filters-applied': 'artifactType' };
  sendJson(exchange, 200, { 'content-type': OCI_INDEX, ...headers, ...filtered }, indexOf(page));
}

function isKnown({ request }: Exchange, digest: string): boolean {
  const known = request.headers['if-none-match'];
  return known !== undefined && known.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${digest}"`);
}

function rangeOf(header: string | undefined, size: number): { start: number; end: number } | 'unsatisfiable' | null {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (from === undefined || to === undefined || (from === '' && to === '')) return null;
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  return start >= size || end < start ? 'unsatisfiable' : { start, end };
}
