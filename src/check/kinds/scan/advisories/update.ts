import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { type Dispatcher, request } from 'undici';

import { syncFolder } from '../../../../lib/files.ts';
import { hasCode, type Problem, problemOf } from '../../../../lib/error.ts';
import { CheckError } from '../../../error.ts';
import { familyOf } from '../packages/package.ts';
import { advisoriesIn } from './folder.ts';
import { fileOf, readSources, type Source, type Sources, writeSources } from './sources.ts';

const MOST_BYTES = 8 * 1024 ** 3;
const SILENCE_MS = 60_000;
const DAY_MS = 86_400_000;
/** What begins with a dot is not looked at as advisories. */
const DRAFT = '.update-';

export interface Progress {
  readonly ecosystem: string;
  readonly bytes: number;
  /** Null where the source does not say. */
  readonly ofBytes: number | null;
  /** `checking`: it is whole, and looked through. */
  readonly step: 'fetching' | 'checking';
}

export interface UpdateOptions {
  readonly agentFor: (url: URL) => Dispatcher;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  readonly now: number;
}

export type Updated = { readonly ecosystem: string; readonly url: string } & (
  | { readonly state: 'updated'; readonly records: number; readonly bytes: number; readonly asOf: string | null }
  | { readonly state: 'unchanged'; readonly asOf: string | null }
  | { readonly state: 'failed'; readonly problem: Problem }
);

/**
 * Fetches what the sources have, one after the other, and puts each in place when it is whole and was looked through: until then,
 * and where it cannot be had, what was there stays. A source that gave nothing does not keep the others from it.
 */
export async function updateAdvisories(
  directory: string,
  sources: Sources,
  options: UpdateOptions,
): Promise<readonly Updated[]> {
  await mkdir(directory, { recursive: true });
  await removeDrafts(directory, options.now - DAY_MS);
  const done: Updated[] = [];
  for (const [ecosystem, source] of Object.entries(sources)) {
    const { url } = source;
    try {
      const fetched = await fetchSource(directory, ecosystem, source, options);
      if (fetched === null) done.push({ ecosystem, url, state: 'unchanged', asOf: source.asOf ?? null });
      else {
        await writeSources(directory, { ...(await readSources(directory)), [ecosystem]: fetched.source });
        const { records, bytes } = fetched;
        done.push({ ecosystem, url, state: 'updated', records, bytes, asOf: fetched.source.asOf ?? null });
      }
    } catch (error) {
      options.signal.throwIfAborted();
      done.push({ ecosystem, url, state: 'failed', problem: problemOf(error, 'check.advisories-unfetched') });
    }
  }
  return done;
}

interface Fetched {
  readonly source: Source;
  readonly records: number;
  readonly bytes: number;
}

/** @returns null where the source has what is there already */
async function fetchSource(
  directory: string,
  ecosystem: string,
  source: Source,
  options: UpdateOptions,
): Promise<Fetched | null> {
  const url = new URL(source.url);
  const place = join(directory, fileOf(ecosystem));
  const isThere = source.sha256 !== undefined && (await hashOf(place)) === source.sha256;
  const headers = isThere && source.etag !== undefined ? { 'if-none-match': source.etag } : {};
  const answer = await ask(url, headers, options);
  if (answer.statusCode === 304) {
    await answer.body.dump();
    return null;
  }
  if (answer.statusCode !== 200) {
    await answer.body.dump();
    throw unfetched(url, `it answered ${answer.statusCode}`);
  }
  const draft = await mkdtemp(join(directory, DRAFT));
  try {
    const file = join(draft, 'all.zip');
    const { sha256, bytes } = await save(answer, url, file, ecosystem, options);
    options.onProgress({ ecosystem, bytes, ofBytes: bytes, step: 'checking' });
    const records = await recordsIn(draft, ecosystem, url);
    await mkdir(dirname(place), { recursive: true });
    await rename(file, place);
    await syncFolder(dirname(place));
    const asOf = dateOf(answer.headers['last-modified'], options.now);
    const etag = textOf(answer.headers['etag']);
    return {
      source: {
        url: source.url,
        sha256,
        ...(asOf === undefined ? {} : { asOf }),
        ...(etag === undefined ? {} : { etag }),
      },
      records,
      bytes,
    };
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function ask(
  url: URL,
  headers: Record<string, string>,
  { agentFor, signal }: UpdateOptions,
): Promise<Dispatcher.ResponseData> {
  try {
    return await request(url, {
      dispatcher: agentFor(url),
      headers: { 'user-agent': 'towpath', ...headers },
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
      signal,
    });
  } catch (error) {
    throw hasCode(error) ? error : unfetched(url, `it does not answer (${reasonOf(error)})`);
  }
}

async function save(
  { body, headers }: Dispatcher.ResponseData,
  url: URL,
  path: string,
  ecosystem: string,
  { onProgress }: UpdateOptions,
): Promise<{ readonly sha256: string; readonly bytes: number }> {
  const length = Number(textOf(headers['content-length']));
  const ofBytes = Number.isSafeInteger(length) && length > 0 ? length : null;
  const hash = createHash('sha256');
  const file = await open(path, 'wx', 0o644);
  let bytes = 0;
  try {
    for await (const chunk of body) {
      const part = Buffer.from(chunk as Uint8Array);
      bytes += part.length;
      if (bytes > MOST_BYTES) throw unfetched(url, `it has more than ${MOST_BYTES / 1024 ** 3} GiB`);
      hash.update(part);
      await file.writeFile(part);
      onProgress({ ecosystem, bytes, ofBytes, step: 'fetching' });
    }
    await file.sync(); // before it gets its name
  } catch (error) {
    if (hasCode(error) || isOfDisk(error)) throw error;
    throw unfetched(url, `it broke off after ${bytes} bytes (${reasonOf(error)})`);
  } finally {
    await file.close();
  }
  if (ofBytes !== null && bytes !== ofBytes) throw unfetched(url, `it broke off after ${bytes} of ${ofBytes} bytes`);
  return { sha256: hash.digest('hex'), bytes };
}

/** Every record is read: what is damaged, or of something else, does not take the place of what is whole. */
async function recordsIn(draft: string, ecosystem: string, url: URL): Promise<number> {
  const database = await advisoriesIn(draft)
    .current()
    .catch((error: unknown) => {
      throw hasCode(error, 'check.advisories-broken')
        ? unfetched(url, 'what it gave is no whole zip of advisories')
        : error;
    });
  const records = [...(database?.ecosystems ?? [])]
    .filter(([name]) => familyOf(name) === ecosystem)
    .reduce((sum, [, { records: its }]) => sum + its, 0);
  if (records === 0) throw unfetched(url, `what it gave says nothing of ${ecosystem}`);
  return database?.records ?? 0;
}

/** Of updates that were killed. */
async function removeDrafts(directory: string, beforeMs: number): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(DRAFT)) continue;
    const path = join(directory, name);
    const found = await stat(path).catch(() => null);
    if (found !== null && found.mtimeMs < beforeMs) await rm(path, { recursive: true, force: true });
  }
}

async function hashOf(path: string): Promise<string | null> {
  const file = await open(path).catch(() => null);
  if (file === null) return null;
  const hash = createHash('sha256');
  for await (const chunk of file.createReadStream()) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** A source whose clock is ahead does not make its advisories younger than they are. */
function dateOf(header: string | string[] | undefined, nowMs: number): string | undefined {
  const ms = Date.parse(textOf(header) ?? '');
  return Number.isNaN(ms) ? undefined : new Date(Math.min(ms, nowMs)).toISOString();
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

function isOfDisk(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(?:ENOSPC|EDQUOT|EIO|EROFS)$/.test(String(error.code));
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

function unfetched({ host, pathname }: URL, why: string): CheckError {
  return new CheckError({
    code: 'check.advisories-unfetched',
    what: `Advisories could not be fetched from ${host}${pathname}: ${why}.`,
    fix: 'What was there stays in use. See that this machine reaches it (HTTPS_PROXY), name a copy of it with --mirror, or put its zips there by hand.',
  });
}
