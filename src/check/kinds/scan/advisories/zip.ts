import { text as textOf } from 'node:stream/consumers';

import { openPromise } from 'yauzl';

import { CheckError } from '../../../error.ts';

/**
 * Reads entries of a zip on disk, one after another, of zips of any size.
 * @throws CheckError `check.advisories-broken` for a zip that is damaged or cut off, or an entry above the limit
 */
export async function readEntries(
  path: string,
  limitBytes: number,
  wants: (name: string) => boolean,
  each: (name: string, text: string) => unknown,
): Promise<void> {
  try {
    const zip = await openPromise(path);
    for await (const entry of zip.eachEntry()) {
      if (!entry.fileName.endsWith('.json') || !wants(entry.fileName)) continue;
      if (entry.uncompressedSize > limitBytes) throw new Error(`${entry.fileName} is too big`);
      each(entry.fileName, await textOf(await zip.openReadStreamPromise(entry)));
    }
  } catch (error) {
    if (error instanceof CheckError) throw error;
    throw new CheckError(
      {
        code: 'check.advisories-broken',
        what: `The advisories in ${path} cannot be read: ${error instanceof Error ? error.message : 'unknown'}.`,
        fix: 'Fetch the zip again; docs/guide/vulnerabilities.md says from where.',
      },
      { cause: error },
    );
  }
}
