import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { sha256Hex } from '../../../../lib/digest.ts';
import { groupBy } from '../../../../lib/group.ts';
import { Advisory, type Advisories, type AdvisoryDatabase } from '../../../advisory.ts';
import { CheckError } from '../../../error.ts';
import { nameIn } from './affects.ts';
import { fileOf, readSources, SOURCES_FILE } from './sources.ts';
import { withZip, type ZipEntry } from './zip.ts';

/** Says as of when all of it speaks; without it a source does of what was fetched, or the newest record of each ecosystem. */
const DATE_FILE = 'database.json';
const DateFile = z.object({ date: z.iso.datetime({ offset: true }) });

/** What a record is found by; the rest is read when it is asked for. */
const Indexed = z.object({
  id: Advisory.shape.id,
  modified: Advisory.shape.modified,
  affected: z.array(z.object({ package: z.object({ ecosystem: z.string(), name: z.string() }).nullish() })).nullish(),
});

const MOST_FILES = 1_000_000;
const RECORD_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * Records of the OSV schema in a folder of this server: files of one record (`*.json`), zips of them (`all.zip`), in folders
 * of any names, so that the buckets of osv.dev and a copy of GitHub's advisories fit as they are. It is looked through when it
 * has changed; of each record its place is kept, not the record.
 */
export function advisoriesIn(directory: string): Advisories {
  let known: { readonly seen: string; readonly database: Promise<AdvisoryDatabase | null> } | null = null;
  return {
    directory,
    async current() {
      const files = await filesIn(directory);
      const seen = sha256Hex(files.map(({ path, size, mtimeMs }) => `${path}\0${size}\0${mtimeMs}`).join('\n'));
      if (known?.seen !== seen) {
        const database = openFolder(
          directory,
          files.map(({ path }) => path),
        );
        known = { seen, database };
        database.catch(() => (known = null));
      }
      return known.database;
    },
  };
}

interface Place {
  readonly file: string;
  /** In a zip. */
  readonly entry?: ZipEntry;
}

async function openFolder(directory: string, files: readonly string[]): Promise<AdvisoryDatabase | null> {
  const places = new Map<string, Place[]>();
  const known = new Map<string, { records: number; atMs: number }>();
  let records = 0;
  const hash = createHash('sha256');
  const take = (place: Place, text: string, asOfMs: number): void => {
    const { modified, affected } = parse(Indexed, place, text);
    const keys = new Set<string>();
    const ecosystems = new Set<string>();
    for (const { package: named } of affected ?? []) {
      if (named === null || named === undefined) continue;
      ecosystems.add(named.ecosystem);
      keys.add(keyOf(named));
    }
    records += 1;
    for (const ecosystem of ecosystems) {
      const its = known.get(ecosystem) ?? { records: 0, atMs: 0 };
      const atMs = Math.max(its.atMs, asOfMs, Date.parse(modified));
      known.set(ecosystem, { records: its.records + 1, atMs });
    }
    for (const key of keys) {
      const there = places.get(key);
      if (there === undefined) places.set(key, [place]);
      else there.push(place);
    }
  };
  let date: number | null = null;
  const sources = Object.entries(await readSources(directory));
  for (const file of files) {
    const path = join(directory, file);
    if (file === SOURCES_FILE) continue;
    const sha256 = await hashOf(path);
    const source = sources.find(([name, { sha256: its }]) => fileOf(name) === file && its === sha256)?.[1];
    const asOfMs = source?.asOf === undefined ? 0 : Date.parse(source.asOf);
    hash.update(`${file}\0${sha256}\0${asOfMs}\n`);
    if (file === DATE_FILE) date = dateIn(await readFile(path, 'utf8'));
    else if (file.endsWith('.zip'))
      await withZip(path, async ({ entries, read }) => {
        for (const entry of await entries())
          if (entry.name.endsWith('.json')) take({ file, entry }, await read(entry, RECORD_LIMIT_BYTES), asOfMs);
      });
    else take({ file }, await readFile(path, 'utf8'), asOfMs);
  }
  if (known.size === 0) return null;
  const ecosystems = new Map([...known].map(([name, its]) => [name, { ...its, atMs: date ?? its.atMs }]));
  return {
    digest: hash.digest('hex'),
    newestMs: Math.max(...[...ecosystems.values()].map(({ atMs }) => atMs)),
    records,
    ecosystems,
    asOf: (ecosystem) => ecosystems.get(ecosystem)?.atMs ?? null,
    async about(packages) {
      const wanted = new Set(packages.flatMap((one) => places.get(keyOf(one)) ?? []));
      const records: Advisory[] = [];
      for (const [file, those] of groupBy(wanted, (place) => place.file)) {
        const path = join(directory, file);
        const add = (place: Place, text: string): unknown => records.push(parse(Advisory, place, text));
        if (!file.endsWith('.zip')) add({ file }, await readFile(path, 'utf8'));
        else
          await withZip(path, async ({ read }) => {
            for (const place of those)
              if (place.entry !== undefined) add(place, await read(place.entry, RECORD_LIMIT_BYTES));
          });
      }
      return records;
    },
  };
}

function keyOf(named: { readonly ecosystem: string; readonly name: string }): string {
  return `${named.ecosystem}\0${nameIn(named)}`;
}

function parse<Record>(schema: z.ZodType<Record>, { file, entry }: Place, text: string): Record {
  const where = entry === undefined ? file : `${file} (${entry.name})`;
  try {
    const record = schema.safeParse(JSON.parse(text));
    if (record.success) return record.data;
    const [issue] = record.error.issues;
    throw broken(`${where} is no record of OSV (${issue?.path.join('.')}: ${issue?.message})`);
  } catch (error) {
    if (error instanceof CheckError) throw error;
    throw broken(`${where} is not JSON`);
  }
}

function dateIn(text: string): number {
  try {
    return Date.parse(DateFile.parse(JSON.parse(text)).date);
  } catch {
    throw broken(`${DATE_FILE} has no date, such as {"date": "2026-11-30T00:00:00Z"}`);
  }
}

/** Of the folder and those in it, in the order of their names; empty where there is none. */
async function filesIn(directory: string): Promise<{ path: string; size: number; mtimeMs: number }[]> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw broken(`it cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'})`);
  });
  const paths = names
    .filter((entry) => entry.isFile() && /\.(json|zip)$/.test(entry.name))
    .map(({ parentPath, name }) => join(parentPath, name).slice(join(directory, '/').length))
    .filter((path) => !path.split('/').some((part) => part.startsWith('.')))
    .sort();
  if (paths.length > MOST_FILES) throw broken(`it has more than ${MOST_FILES} files`);
  const found = [];
  for (const path of paths) {
    const { size, mtimeMs } = await stat(join(directory, path));
    found.push({ path, size, mtimeMs });
  }
  return found;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function broken(why: string): CheckError {
  return new CheckError({
    code: 'check.advisories-broken',
    what: `The advisories of this server cannot be used: ${why}.`,
    fix: 'Put them there again, whole: docs/guide/vulnerabilities.md says where they come from.',
  });
}
