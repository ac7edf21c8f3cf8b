import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';

import { checkRepository } from '../reference.ts';
import { isDiskFull } from '../../lib/disk-full.ts';
import type { Registry } from '../registry.ts';
import type { ContentSweep, RegistryContent, Swept } from '../content.ts';
import { openBlobStore } from './blob-store.ts';
import { makeFolder, openDurableFiles } from './durable-file.ts';
import {
  beginUpload,
  cancelUpload,
  continueUpload,
  deleteBlob,
  deleteManifest,
  finishUpload,
  showUpload,
  writeManifest,
} from './endpoints-write.ts';
import { listReferrers, listRepositories, listTags, readBlob, readManifest } from './endpoints-read.ts';
import { isOurFault, notAllowed, notFound, send, sendError } from './exchange.ts';
import type { Exchange, Stores } from './exchange.ts';
import { heldManifests } from './held.ts';
import { inProcessRegistry } from './in-process.ts';
import { openLimbo } from './limbo.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { Limits } from './limits.ts';
import { openManifestStore } from './manifest-store.ts';
import type { Immutable } from './manifest-store.ts';
import { openRepositoryStore } from './repository-store.ts';
import { parseRoute } from './routes.ts';
import type { Route } from './routes.ts';
import { sweepContent } from './sweep.ts';
import { openUploads } from './uploads.ts';

/** An OCI registry on a folder. Any number of processes of one machine may open the same folder. */
export interface EmbeddedRegistry {
  /**
   * Answers a request under `/v2/`, whoever sends it: who may is decided before. Never throws: a failure is an answer, and
   * goes to `onError`.
   * @param mayPull whether the sender may read that repository too: a mount does. Without it everyone may
   */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    mayPull?: (repository: string) => Promise<boolean>,
  ): Promise<void>;
  /** The same content without HTTP, for the server that owns it. */
  registry(): Registry;
  /** Drops uploads, and files of killed processes, that nobody has added to since `beforeMs`. @returns how many */
  sweep(beforeMs: number): Promise<number>;
  /** Removes the content that no tag and nothing of `kept` needs. Any process may do it, at any time. */
  sweepContent(wish: ContentSweep): Promise<Swept>;
  content(): RegistryContent;
}

export interface EmbeddedRegistryOptions {
  readonly directory: string;
  /** Host and port under which the outside reaches `handle`, as in an image reference. */
  readonly host: string;
  /** Tags that may never name a second digest. Without it every tag may move. */
  readonly immutable?: Immutable;
  /** Tags that nobody gives by HTTP. Without it there are none. */
  readonly reserved?: Immutable;
  /** Default: those of `DEFAULT_LIMITS`. */
  readonly limits?: Partial<Limits>;
  /** Gets what went wrong inside, for the log. */
  readonly onError?: (error: unknown) => void;
}

/** What a client still sends is read past, within reason: who has not sent all may not listen yet for the answer. */
function drain(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  let left = DRAINED_BYTES;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  request.on('error', () => undefined);
}

const DRAINED_BYTES = 64 * 1024 * 1024;

/** Opens the folder, or makes it. */
export async function createEmbeddedRegistry(options: EmbeddedRegistryOptions): Promise<EmbeddedRegistry> {
  const { directory, host, immutable = () => false, reserved = () => false, onError = () => {} } = options;
  const uploadsFolder = join(directory, 'uploads');
  await makeFolder(uploadsFolder);
  await makeFolder(join(directory, 'repositories'));
  const files = await openDurableFiles(join(directory, 'tmp'));
  const limbo = openLimbo(directory, join(directory, 'limbo'));
  await makeFolder(join(directory, 'limbo'));
  const blobs = openBlobStore(join(directory, 'blobs'), files, limbo);
  const repositories = openRepositoryStore(join(directory, 'repositories'), files, limbo);
  const manifests = openManifestStore(blobs, repositories, immutable, reserved);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const uploads = openUploads(uploadsFolder, blobs, limits);
  const stores: Stores = { blobs, repositories, manifests, uploads, limits };

  return {
    registry: () => inProcessRegistry(host, blobs, repositories, manifests),
    sweep: async (beforeMs) => (await uploads.sweep(beforeMs)) + (await files.sweep(beforeMs)),
    sweepContent: async (wish) => sweepContent({ blobs, repositories, limbo }, wish),
    content: () => ({
      held: (signal) => heldManifests(blobs, repositories, signal),
      sweep: async (wish) => sweepContent({ blobs, repositories, limbo }, wish),
    }),
    handle: async (request, response, mayPull = async () => true) => {
      const method = request.method ?? 'GET';
      let route: Route | null = null;
      response.setHeader('docker-distribution-api-version', 'registry/2.0');
      try {
        const [path = '', ...query] = (request.url ?? '').split('?');
        route = parseRoute(path);
        if (route === null) throw notFound('This is not an address of the distribution API.');
        if ('repository' in route) checkRepository(route.repository);
        const exchange: Exchange = { request, response, query: new URLSearchParams(query.join('?')), stores, mayPull };
        await dispatch(exchange, route, method);
      } catch (error) {
        const full = isDiskFull(error);
        const gone = request.destroyed && !request.complete && !full; // the client went away: nobody's fault
        const ours = isOurFault(error, method) && !gone && !response.destroyed;
        if (ours) onError(error);
        sendError(response, route, ours && !full ? null : error);
        drain(request);
      }
    },
  };
}

async function dispatch(exchange: Exchange, route: Route, method: string): Promise<void> {
  const reading = method === 'GET' || method === 'HEAD';
  switch (route.kind) {
    case 'base':
      if (reading)
        return send(exchange, 200, { 'content-type': 'application/json' }, method === 'HEAD' ? undefined : '{}');
      break;
    case 'catalog':
      if (reading) return listRepositories(exchange);
      break;
    case 'tags':
      if (reading) return listTags(exchange, route.repository);
      break;
    case 'referrers':
      if (reading) return listReferrers(exchange, route.repository, route.digest);
      break;
    case 'manifest':
      if (reading) return readManifest(exchange, route.repository, route.reference);
      if (method === 'PUT') return writeManifest(exchange, route.repository, route.reference);
      if (method === 'DELETE') return deleteManifest(exchange, route.repository, route.reference);
      break;
    case 'blob':
      if (reading) return readBlob(exchange, route.repository, route.digest);
      if (method === 'DELETE') return deleteBlob(exchange, route.repository, route.digest);
      break;
    case 'uploads':
      if (method === 'POST') return beginUpload(exchange, route.repository);
      break;
    case 'upload':
      if (method === 'GET') return showUpload(exchange, route.repository, route.id);
      if (method === 'PATCH') return continueUpload(exchange, route.repository, route.id);
      if (method === 'PUT') return finishUpload(exchange, route.repository, route.id);
      if (method === 'DELETE') return cancelUpload(exchange, route.repository, route.id);
      break;
    default:
      return route satisfies never;
  }
  throw notAllowed(method);
}
