import { randomBytes } from 'node:crypto';
import { link, readFile, unlink } from 'node:fs/promises';

import { writeDurably } from '../lib/durable-file.ts';

const BYTES = 32;

/**
 * 32 random bytes in a file that its owner alone may read: made by whoever asks first, the same for all who ask. Cut short
 * by other hands it is made anew, for nothing can be read by it.
 */
export async function ensureKeyFile(file: string): Promise<Buffer> {
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
  return (await readKey(file)) ?? ensureKeyFile(file);
}

async function readKey(file: string): Promise<Buffer | null> {
  try {
    const key = Buffer.from((await readFile(file, 'utf8')).trim(), 'hex');
    if (key.length === BYTES) return key;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    return null;
  }
  await unlink(file);
  return null;
}
