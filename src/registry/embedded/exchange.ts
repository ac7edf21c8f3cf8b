import type { IncomingMessage, ServerResponse } from 'node:http';

import { DISK_FULL } from '../../lib/disk-full.ts';
import { hasCode, problemOf } from '../../lib/error.ts';
import { RegistryError } from '../error.ts';
import { isTag } from '../reference.ts';
import type { BlobStore } from './blob-store.ts';
import { checkContentDigest } from './content-digest.ts';
import type { Limits } from './limits.ts';
import type { ManifestStore } from './manifest-store.ts';
import type { RepositoryStore } from './repository-store.ts';
import type { Route } from './routes.ts';
import type { Uploads } from './uploads.ts';

/** The stores that the endpoints serve. */
export interface Stores {
  readonly blobs: BlobStore;
  readonly repositories: RepositoryStore;
  readonly manifests: ManifestStore;
  readonly uploads: Uploads;
  readonly limits: Limits;
}

/** One request and its answer. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly stores: Stores;
  /** May the asker read this repository too? For a mount. */
  readonly mayPull: (repository: string) => Promise<boolean>;
}

type Headers = Record<string, string | number>;

export function send({ response }: Exchange, status: number, headers: Headers = {}, body?: string | Buffer): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  response.writeHead(status, { 'content-length': bytes?.length ?? 0, ...headers });
  response.end(bytes);
}

export function sendJson(exchange: Exchange, status: number, headers: Headers, body: object): void {
  const text = JSON.stringify(body);
  send(
    exchange,
    status,
    { 'content-type': 'application/json', ...headers, 'content-length': Buffer.byteLength(text) },
    text,
  );
}

/** The error as the specification writes it; `detail` says what to do. Nothing can be said once an answer has begun. */
export function sendError(response: ServerResponse, route: Route | null, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const { code, what, fix } = problemOf(error);
  const [status, name] = statusOf(code, route);
  // What failed inside is for the log of the server, not for whoever asks.
  const [message, detail] = status === 500 ? ['The registry failed.', 'Try again; see the server log.'] : [what, fix];
  const body = JSON.stringify({ errors: [{ code: name, message, detail }] });
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

export function notAllowed(method: string): RegistryError {
  return new RegistryError({
    code: 'registry.unsupported',
    what: `This address does not answer to ${method.slice(0, 20)}.`,
    fix: 'See the OCI distribution specification 1.1 for the methods that it has.',
  });
}

/** What is neither a digest nor a tag names nothing, and is part of no path on the disk. @throws RegistryError */
export function checkReference(repository: string, reference: string): void {
  if (reference.includes(':')) checkContentDigest(reference);
  else if (!isTag(reference)) throw notFound(`${repository} can have no manifest "${reference.slice(0, 140)}".`);
}

export function notFound(what: string): RegistryError {
  return new RegistryError({ code: 'registry.not-found', what, fix: 'Check the name; push it first if it is new.' });
}

function statusOf(code: string, route: Route | null): [number, string] {
  switch (code) {
    case 'registry.name-invalid':
      return [400, 'NAME_INVALID'];
    case 'registry.digest-invalid':
    case 'registry.digest-mismatch':
      return [400, 'DIGEST_INVALID'];
    case 'registry.range-invalid':
      return [400, 'BLOB_UPLOAD_INVALID'];
    case 'registry.not-found':
      return [404, unknownOf(route)];
    case 'registry.manifest-invalid':
      return [400, 'MANIFEST_INVALID'];
    case 'registry.content-missing':
      return [404, 'MANIFEST_BLOB_UNKNOWN'];
    case 'registry.too-large':
      return [413, route?.kind === 'manifest' ? 'MANIFEST_INVALID' : 'SIZE_INVALID'];
    case 'registry.size-invalid':
      return [400, 'SIZE_INVALID'];
    case 'registry.throttled':
      return [429, 'TOOMANYREQUESTS'];
    case 'registry.tag-immutable':
      return [409, 'DENIED'];
    case 'registry.still-needed':
      return [405, 'DENIED'];
    case 'registry.upload-range':
      return [416, 'BLOB_UPLOAD_INVALID'];
    case 'registry.unsupported':
      return [405, 'UNSUPPORTED'];
    case 'registry.unauthorized':
      return [401, 'UNAUTHORIZED'];
    case 'registry.denied':
      return [403, 'DENIED'];
    case DISK_FULL.code:
      return [507, 'UNKNOWN'];
    default:
      return [500, 'UNKNOWN'];
  }
}

function unknownOf(route: Route | null): string {
  switch (route?.kind) {
    case 'manifest':
      return 'MANIFEST_UNKNOWN';
    case 'blob':
      return 'BLOB_UNKNOWN';
    case 'upload':
      return 'BLOB_UPLOAD_UNKNOWN';
    default:
      return 'NAME_UNKNOWN';
  }
}

/** True when damage inside the store, not the request, is the reason. */
export function isOurFault(error: unknown, method: string): boolean {
  return !hasCode(error) || (hasCode(error, 'registry.digest-mismatch') && (method === 'GET' || method === 'HEAD'));
}
