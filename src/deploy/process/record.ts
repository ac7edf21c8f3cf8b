import { randomBytes } from 'node:crypto';
import { readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { type Digest, isDigest } from '../../lib/digest.ts';

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
  const path = join(folder, 'record.json');
  const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  await writeFile(draft, JSON.stringify(record), { mode: 0o600 });
  await rename(draft, path);
}

/** @returns null where there is none */
export async function readRecord(folder: string): Promise<ProcessRecord | null> {
  const text = await readFile(join(folder, 'record.json'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw error;
  });
  return text === null ? null : ProcessRecord.parse(JSON.parse(text) as unknown);
}

/** All records in the folders of `directory`. */
export async function readRecords(directory: string): Promise<ProcessRecord[]> {
  const names = await readdir(directory).catch(() => []);
  const records = await Promise.all(names.map((name) => readRecord(join(directory, name))));
  return records.filter((record) => record !== null);
}

/** The images of all that was started here and is not removed; `directory` holds a folder per target. */
export async function recordedDigests(directory: string): Promise<Digest[]> {
  const targets = await readdir(directory).catch(() => []);
  const records = await Promise.all(targets.map((name) => readRecords(join(directory, name))));
  return records.flat().map(({ service }) => service.digest);
}
