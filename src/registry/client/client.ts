import { Agent } from 'undici';
import { z } from 'zod';

import { isDigest, sha256 } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { RegistryError } from '../error.ts';
import { keyedQueue } from '../keyed-queue.ts';
import { MANIFEST_TYPES, MAX_MANIFEST_BYTES, parseManifest } from '../manifest.ts';
import { checkRepository, checkTag } from '../reference.ts';
import type { Registry, StoredManifest } from '../registry.ts';
import { digestMismatch } from '../verified.ts';
import { bytesOf, errorOf, jsonOf } from './answers.ts';
import { POOL } from './agents.ts';
import { createAuthenticator } from './auth.ts';
import type { Credentials } from './auth.ts';
import { downloadBlob } from './download.ts';
import { atPace, PACE, type Pace } from './pace.ts';
import { pagesOf } from './pages.ts';
import { listReferrers, updateFallback } from './referrers.ts';
import { PATIENCE } from './retry.ts';
import type { RetryPolicy } from './retry.ts';
import { createTransport, locationOf, textOf, tokenAsker } from './transport.ts';
import type { AgentFor } from './transport.ts';
import { uploadBlob } from './upload.ts';

export interface RegistryClientOptions {
  /** Host with its port; `docker.io` means Docker Hub. */
  readonly host: string;
  /** Default: http on this very machine, https elsewhere. */
  readonly scheme?: 'http' | 'https';
  /** Asked for when the registry wants some, each time anew: they may be short-lived. */
  readonly credentials?: (host: string) => Promise<Credentials | null>;
  /** Hosts of token services on other domains that may get the credentials too. */
  readonly trustedRealms?: readonly string[];
  /** Default: a pool of connections of its own, without a proxy. */
  readonly agentFor?: AgentFor;
  readonly retry?: Partial<RetryPolicy>;
  readonly pace?: Pace;
}

const TagList = z.object({ tags: z.array(z.string()).nullish() });

/** A registry reached by the OCI distribution API 1.1. */
export function createRegistryClient(options: RegistryClientOptions): Registry {
  const { host, credentials = async () => null } = options;
  const origin = originOf(host, options.scheme);
  const retry = { ...PATIENCE, ...options.retry };
  const agentFor = atPace(options.pace ?? PACE, options.agentFor ?? ownPool());
  const authenticator = createAuthenticator({
    origin,
    credentials: async () => credentials(host),
    trustedRealms: options.trustedRealms ?? [],
    now: retry.now,
    ask: tokenAsker(agentFor),
  });
  const transport = createTransport({ origin, agentFor, authenticator, retry });
  // Docker's registry 2.8 fails on a read or write of a manifest while another write of the same is under way.
  const inTurn = keyedQueue();

  async function manifest(repository: string, reference: string): Promise<StoredManifest | null> {
    const url = manifestUrl(repository, reference);
    const headers = { accept: MANIFEST_TYPES.join(', ') };
    const response = await transport.send({ method: 'GET', url, scopes: pull(repository), headers });
    if (response.statusCode === 404) {
      await response.body.dump();
      return null;
    }
    if (response.statusCode !== 200) throw await errorOf(response, `give the manifest ${repository} ${reference}`);
    const promised = textOf(response.headers['docker-content-digest']);
    const type = textOf(response.headers['content-type'])?.split(';')[0]?.trim();
    const bytes = await bytesOf(response, MAX_MANIFEST_BYTES);
    const digest = sha256(bytes);
    if (isDigest(reference) && digest !== reference) throw digestMismatch(reference, digest);
    if (isDigest(promised) && digest !== promised) throw digestMismatch(promised, digest);
    const typed = type !== undefined && MANIFEST_TYPES.includes(type) ? type : null;
    return { digest, mediaType: parseManifest(bytes, typed).mediaType, bytes };
  }

  /** @returns the subject that the registry recorded by itself, if it has the referrers API */
  async function put(
    repository: string,
    reference: string,
    mediaType: string,
    bytes: Buffer,
  ): Promise<string | undefined> {
    const response = await transport.send({
      method: 'PUT',
      url: manifestUrl(repository, reference),
      scopes: push(repository),
      headers: { 'content-type': mediaType },
      body: bytes,
    });
    if (![200, 201, 202].includes(response.statusCode)) {
      throw await errorOf(response, `take the manifest ${repository} ${reference}`);
    }
    await response.body.dump();
    const stored = textOf(response.headers['docker-content-digest']);
    const digest = sha256(bytes);
    if (isDigest(stored) && stored !== digest) throw digestMismatch(digest, stored);
    return textOf(response.headers['oci-subject']);
  }

  const access = {
    manifest,
    put: async (...put_: Parameters<typeof put>) => {
      await put(...put_);
    },
  };

  async function tagged(repository: string, tag: string): Promise<string | null> {
    const headers = { accept: MANIFEST_TYPES.join(', ') };
    const url = manifestUrl(repository, tag);
    const response = await transport.send({ method: 'HEAD', url, scopes: pull(repository), headers });
    await response.body.dump();
    if (response.statusCode === 404) return null;
    if (response.statusCode !== 200) throw await errorOf(response, `say what ${repository}:${tag} names`);
    return textOf(response.headers['docker-content-digest']) ?? (await manifest(repository, tag))?.digest ?? null;
  }

  async function hasBlob(repository: string, digest: Digest): Promise<number | null> {
    checkRepository(repository);
    const url = `/v2/${repository}/blobs/${digest}`;
    const response = await transport.send({ method: 'HEAD', url, scopes: pull(repository) });
    await response.body.dump();
    if (response.statusCode === 404) return null;
    const size = Number(textOf(response.headers['content-length']) ?? Number.NaN);
    if (response.statusCode === 200 && Number.isInteger(size)) return size;
    throw await errorOf(response, `say whether ${repository} has the blob ${digest}`);
  }

  return {
    host,
    manifest,
    hasBlob,
    putManifest: async (repository, reference, { mediaType, bytes }) => {
      const digest = sha256(bytes);
      const parsed = parseManifest(bytes, mediaType);
      if (reference.includes(':') && reference !== digest) throw digestMismatch(reference, digest);
      const recorded = await inTurn(`${repository}@${digest}`, () => put(repository, reference, mediaType, bytes));
      const { subject } = parsed;
      if (subject !== null && recorded === undefined) {
        await inTurn(`${repository}^${subject.digest}`, () =>
          updateFallback(access, repository, parsed, digest, bytes.length, 'add'),
        );
      }
      return digest;
    },
    tag: async (repository, digest, tag) => {
      checkTag(tag);
      return inTurn(`${repository}@${digest}`, async () => {
        const [found, before] = await Promise.all([manifest(repository, digest), tagged(repository, tag)]);
        if (found === null) throw noManifest(repository, digest);
        if (before === digest) return 'unchanged';
        await put(repository, tag, found.mediaType, found.bytes);
        return 'tagged';
      });
    },
    readBlob: async (repository, digest) => {
      checkRepository(repository);
      return downloadBlob(transport, repository, digest, pull(repository));
    },
    writeBlob: async (repository, { digest, size, open }) =>
      inTurn(`${repository}@${digest}`, async () => {
        if ((await hasBlob(repository, digest)) !== null) return;
        await uploadBlob(transport, { repository, digest, size, open, scopes: push(repository) });
      }),
    mountBlob: async (repository, digest, from) => {
      checkRepository(repository);
      checkRepository(from);
      const query = new URLSearchParams({ mount: digest, from });
      const url = `/v2/${repository}/blobs/uploads/?${query.toString()}`;
      const scopes = [...push(repository), ...pull(from)];
      const response = await transport.send({ method: 'POST', url, scopes });
      if (![201, 202].includes(response.statusCode)) throw await errorOf(response, `mount the blob ${digest}`);
      await response.body.dump();
      const session = response.statusCode === 202 ? locationOf(response) : null;
      if (session === null) return response.statusCode === 201;
      const cancelled = await transport.send({ method: 'DELETE', url: session, scopes: push(repository) });
      await cancelled.body.dump(); // an upload that cannot be cancelled ends by itself
      return false;
    },
    tags: async (repository) => {
      checkRepository(repository);
      const tags: string[] = [];
      for await (const response of pagesOf(transport, `/v2/${repository}/tags/list?n=1000`, pull(repository))) {
        if (response.statusCode === 404) {
          await response.body.dump();
          return [];
        }
        if (response.statusCode !== 200) throw await errorOf(response, `list the tags of ${repository}`);
        const text = (await bytesOf(response, 16 * 1024 * 1024)).toString('utf8');
        tags.push(...(jsonOf(TagList, text, host).tags ?? []));
      }
      return tags;
    },
    deleteManifest: async (repository, reference) => {
      const found = isDigest(reference) ? await manifest(repository, reference) : null;
      const url = manifestUrl(repository, reference);
      const response = await transport.send({
        method: 'DELETE',
        url,
        scopes: [`repository:${repository}:pull,push,delete`],
      });
      if (!isDigest(reference) && [400, 405].includes(response.statusCode)) {
        await response.body.dump();
        throw noTagDeletion(host);
      }
      if (![200, 202, 204, 404].includes(response.statusCode)) {
        throw await errorOf(response, `delete ${repository} ${reference}`);
      }
      await response.body.dump();
      const parsed = found === null ? null : parseManifest(found.bytes, found.mediaType);
      if (found === null || parsed === null || parsed.subject === null) return;
      await inTurn(`${repository}^${parsed.subject.digest}`, () =>
        updateFallback(access, repository, parsed, found.digest, found.bytes.length, 'remove'),
      );
    },
    referrers: async (repository, digest, artifactType) => {
      checkRepository(repository);
      const found = await listReferrers(transport, access, repository, digest, pull(repository));
      return found.filter((one) => artifactType === undefined || one.artifactType === artifactType);
    },
  };
}

function ownPool(): AgentFor {
  const agent = new Agent(POOL);
  return () => agent;
}

function originOf(host: string, scheme: 'http' | 'https' | undefined): URL {
  const address = host === 'docker.io' ? 'registry-1.docker.io' : host;
  const here = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(address);
  const text = `${scheme ?? (here ? 'http' : 'https')}://${address}`;
  if (URL.canParse(text) && new URL(text).host !== '' && /^[^/?#@\s]+$/.test(address)) return new URL(text);
  throw new RegistryError({
    code: 'registry.name-invalid',
    what: `"${host.slice(0, 100)}" is not the host of a registry.`,
    fix: 'Write it as `host` or `host:port`, without a scheme or a path.',
  });
}

function manifestUrl(repository: string, reference: string): string {
  checkRepository(repository);
  if (!isDigest(reference)) checkTag(reference);
  return `/v2/${repository}/manifests/${reference}`;
}

function pull(repository: string): string[] {
  return [`repository:${repository}:pull`];
}

function push(repository: string): string[] {
  return [`repository:${repository}:pull,push`];
}

function noManifest(repository: string, digest: Digest): RegistryError {
  return new RegistryError({
    code: 'registry.not-found',
    what: `${repository} has no manifest ${digest}.`,
    fix: 'Build or push the artifact first; a tag can only name what is there.',
  });
}

function noTagDeletion(host: string): RegistryError {
  return new RegistryError({
    code: 'registry.unsupported',
    what: `${host} cannot delete a tag alone.`,
    fix: 'Delete the manifest by its digest: all its tags go with it.',
  });
}
