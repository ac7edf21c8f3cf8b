import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { createSynced, syncFolder } from './files.ts';

/**
 * Replaces a small file in one step: whoever reads it, also after a kill or a power cut, finds the old content or the
 * new one, whole. On return it lasts.
 * @param mode of a file that only its owner may read, unless another is given
 */
export async function writeDurably(path: string, content: string, mode = 0o600): Promise<void> {
  const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    await createSynced(draft, content, mode); // whole before it gets its name: else the name may last and the content not
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}
