import { randomBytes } from 'node:crypto';
import { link, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import { writeDurably } from '../lib/durable-file.ts';

const BYTES = 32;

/**
 * The key by which passes of the registry are signed: in the data directory, readable by its owner alone, the same for
 * all servers on it. Whoever removes the file ends every pass.
 */
export async function ensureRegistryKey(dataDirectory: string): Promise<Buffer> {
  const file = join(dataDirectory, 'registry-key');
  const present = await readKey(file);
  if (present !== null) return present;
  const draft = `${file}.${process.pid}-${randomBytes(4).toString('hex')}`;
  await writeDurably(draft, `${randomBytes(BYTES).toString('hex')}\n`);
  try {
    await link(draft, file); // of several servers that start at once, one is first
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    await unlink(draft);
  }
  return (await readKey(file)) ?? ensureRegistryKey(dataDirectory);
}

async function readKey(file: string): Promise<Buffer | null> {
  try {
    const key = Buffer.from((await readFile(file, 'utf8')).trim(), 'hex');
    if (key.length === BYTES) return key;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    return null;
  }
  await unlink(file); // cut short by other hands: no pass can be read by it
  return null;
}
