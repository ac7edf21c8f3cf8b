import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import { Agent, EnvHttpProxyAgent, interceptors, request } from 'undici';
import type { Dispatcher } from 'undici';

import { limiter } from '../../../lib/limiter.ts';
import { ArtifactError } from '../../artifact-error.ts';
import { matchesIntegrity, parseIntegrity } from './integrity.ts';
import type { Integrity } from './integrity.ts';
import { authorizationFor, tarballUrl } from './npm-config.ts';
import type { NpmConfig } from './npm-config.ts';

const CONNECTIONS = 24;
const ATTEMPTS = 4;
const MAX_MIB = 1024;
const MIB = 1024 * 1024;

export interface PackageToFetch {
  readonly name: string;
  readonly version: string;
  readonly resolved?: string | undefined;
  readonly integrity: string;
}

/** The compressed bytes of a package, of which the integrity was checked; from this machine's disk when they are there. */
export type FetchTarball = (pkg: PackageToFetch, config: NpmConfig, signal: AbortSignal) => Promise<Buffer>;

/**
 * @param directory keeps tarballs by their hash; may be shared, and may be deleted at any time
 * @param maxMib of one package, compressed
 */
export function createTarballs(directory: string, maxMib: number = MAX_MIB): FetchTarball {
  const agents = new Map<string | undefined, Dispatcher>();
  const limit = limiter(CONNECTIONS);
  const agentFor = (config: NpmConfig): Dispatcher => {
    const known = agents.get(config.ca);
    if (known) return known;
    const connect = config.ca === undefined ? {} : { connect: { ca: config.ca } };
    const options = { connections: CONNECTIONS, pipelining: 1, allowH2: false, ...connect };
    const direct = hasProxy()
      ? new EnvHttpProxyAgent({ ...options, requestTls: connect.connect ?? {} })
      : new Agent(options);
    const agent = direct.compose(interceptors.redirect({ maxRedirections: 5 })); // another host gets no authorization
    agents.set(config.ca, agent);
    return agent;
  };

  return async (pkg, config, signal) => {
    const integrity = parseIntegrity(pkg.integrity);
    if (integrity === null) throw wrongBytes(pkg, 'names no known hash');
    const file = join(directory, `${integrity.algorithm}-${integrity.hexes[0] ?? ''}.tgz`);
    const kept = await readFile(file).catch(() => null);
    if (kept !== null && matchesIntegrity(kept, integrity)) return kept;
    setMaxListeners(0, signal); // each download under way listens to it
    return limit(async () => {
      const bytes = await download(pkg, config, { dispatcher: agentFor(config), integrity, maxMib, signal });
      await keep(directory, file, bytes);
      return bytes;
    });
  };
}

interface DownloadOptions {
  readonly dispatcher: Dispatcher;
  readonly integrity: Integrity;
  readonly maxMib: number;
  readonly signal: AbortSignal;
}

async function download(pkg: PackageToFetch, config: NpmConfig, options: DownloadOptions): Promise<Buffer> {
  const { integrity, signal } = options;
  const url = tarballUrl(config, pkg);
  const authorization = authorizationFor(config, url);
  for (let attempt = 1; ; attempt++) {
    const outcome = await attemptDownload(url, authorization, options);
    if (outcome.kind === 'bytes') {
      if (matchesIntegrity(outcome.bytes, integrity)) return outcome.bytes;
      if (attempt >= 2) throw wrongBytes(pkg, 'is not what the registry sent');
    } else if (!outcome.again || attempt >= ATTEMPTS) throw unreachable(pkg, outcome.why);
    await wait(200 * 2 ** attempt, undefined, { signal });
  }
}

type Outcome = { kind: 'bytes'; bytes: Buffer } | { kind: 'failed'; why: string; again: boolean };

async function attemptDownload(
  url: string,
  authorization: string | undefined,
  { dispatcher, maxMib, signal }: DownloadOptions,
): Promise<Outcome> {
  try {
    const headers = authorization === undefined ? {} : { authorization };
    const { statusCode, headers: answered, body } = await request(url, { dispatcher, headers, signal });
    if (statusCode === 200) {
      const bytes = Number(answered['content-length'] ?? 0) > maxMib * MIB ? null : await bytesOf(body, maxMib);
      if (bytes !== null) return { kind: 'bytes', bytes };
      body.destroy();
      return { kind: 'failed', why: `it is larger than ${maxMib} MiB`, again: false };
    }
    await body.dump();
    const again = statusCode === 429 || statusCode >= 500;
    return { kind: 'failed', why: `the registry answered ${statusCode}`, again };
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    return { kind: 'failed', why: `the connection failed (${cause})`, again: true };
  }
}

/** @returns null for more than a package can be, also where no length was announced */
async function bytesOf(body: AsyncIterable<Buffer>, maxMib: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxMib * MIB) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** Not flushed to disk: a torn file fails its hash and is fetched again. */
async function keep(directory: string, file: string, bytes: Buffer): Promise<void> {
  const fresh = join(directory, `.${randomBytes(8).toString('hex')}.part`);
  const write = async () => writeFile(fresh, bytes, { flag: 'wx' });
  try {
    await write().catch(async () => {
      await mkdir(directory, { recursive: true });
      await write();
    });
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

function hasProxy(): boolean {
  return ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'].some((name) => (process.env[name] ?? '') !== '');
}

function wrongBytes({ name, version }: PackageToFetch, how: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.integrity',
    what: `The integrity that package-lock.json gives for ${name}@${version} ${how}.`,
    fix: 'Find out which of them is right before you renew the lock file: a changed package is a warning.',
  });
}

function unreachable({ name, version }: PackageToFetch, why: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.package-unreachable',
    what: `The package ${name}@${version} could not be fetched: ${why}.`,
    fix: 'See that the npm registry of this server (its npm configuration) has the package, then build again.',
  });
}
