import { readFile, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { z } from 'zod';

import { type Digest, isDigest } from '../../lib/digest.ts';
import { writeDurably } from '../../lib/durable-file.ts';
import { targetKey } from '../rollout.ts';

const strings = z.record(z.string(), z.string());

/**
 * What was started, on disk before it starts: a server that was killed meanwhile finds it again by its mark. It holds
 * references of secrets, never values.
 */
const ProcessRecord = z.object({
  id: z.string(),
  mark: z.string(),
  index: z.number(),
  operation: z.string(),
  target: z.object({ project: z.string(), environment: z.string(), slug: z.string() }),
  service: z.object({
    service: z.string(),
    image: z.string(),
    digest: z.custom<Digest>(isDigest),
    command: z.array(z.string()).readonly().exactOptional(),
    port: z.number().exactOptional(),
    publicPort: z.number().exactOptional(),
    health: z
      .object({ path: z.string(), intervalMs: z.number(), timeoutMs: z.number(), startMs: z.number() })
      .exactOptional(),
    env: strings,
    secrets: strings,
    replicas: z.number(),
    limits: z.object({ memoryMb: z.number().exactOptional(), cpus: z.number().exactOptional() }),
  }),
  port: z.number().nullable(),
  pid: z.number().nullable(),
  startedAtMs: z.number(),
  /** How often it was started again after it ended by itself. */
  revivals: z.number(),
});
export type ProcessRecord = z.infer<typeof ProcessRecord>;

export async function saveRecord(folder: string, record: ProcessRecord): Promise<void> {
  await writeDurably(join(folder, 'record.json'), JSON.stringify(record));
}

/** A record that tells nothing: torn by a power cut, or not ours. What it was about is known by its folder's name alone. */
export interface BrokenRecord {
  readonly id: string;
  readonly file: string;
  readonly why: string;
}

export type RecordOnDisk =
  | { readonly kind: 'none' }
  | { readonly kind: 'known'; readonly record: ProcessRecord }
  | { readonly kind: 'broken'; readonly broken: BrokenRecord };

/** @param folder of an instance: `<target key>/<id>` */
export async function readRecord(folder: string): Promise<RecordOnDisk> {
  const file = join(folder, 'record.json');
  const broken = (why: string): RecordOnDisk => ({ kind: 'broken', broken: { id: basename(folder), file, why } });
  try {
    const record = ProcessRecord.parse(JSON.parse(await readFile(file, 'utf8')));
    const isOurs = record.id === basename(folder) && targetKey(record.target) === basename(dirname(folder));
    return isOurs ? { kind: 'known', record } : broken(`it speaks of ${record.id}`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'none' };
    return broken(code ?? (error instanceof SyntaxError ? 'it is no JSON' : 'it is no record'));
  }
}

export interface Records {
  readonly known: readonly ProcessRecord[];
  readonly broken: readonly BrokenRecord[];
}

/** All records in the folders of `directory`; a broken one holds up no other. */
export async function readRecords(directory: string): Promise<Records> {
  const names = await readdir(directory).catch(() => []);
  const found = await Promise.all(names.map((name) => readRecord(join(directory, name))));
  return {
    known: found.flatMap((one) => (one.kind === 'known' ? [one.record] : [])),
    broken: found.flatMap((one) => (one.kind === 'broken' ? [one.broken] : [])),
  };
}

/** All records of this machine; `directory` holds a folder per target. */
export async function readAllRecords(directory: string): Promise<Records> {
  const targets = await readdir(directory).catch(() => []);
  const all = await Promise.all(targets.map((name) => readRecords(join(directory, name))));
  return { known: all.flatMap(({ known }) => known), broken: all.flatMap(({ broken }) => broken) };
}
