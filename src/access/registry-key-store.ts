import { join } from 'node:path';

import { ensureKeyFile } from '../secret/key-file-store.ts';

/**
 * The key by which passes of the registry are signed: in the data directory, the same for all servers on it. Whoever
 * removes the file ends every pass.
 */
export function ensureRegistryKey(dataDirectory: string): Promise<Buffer> {
  return ensureKeyFile(join(dataDirectory, 'registry-key'));
}
