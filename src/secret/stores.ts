import { delimiter } from 'node:path';

import type { SecretStore } from './secret.ts';
import { envSecrets } from './stores/env/env.ts';
import { fileSecrets } from './stores/file/file.ts';

/**
 * The places that hold secrets; a new one is a folder in `stores/` and a line here. Who commits to a repository chooses the
 * references, so what is the server's own is never given.
 * @param dataDirectory of the server, with its tokens in it
 */
export function secretStores(env: Readonly<Record<string, string | undefined>>, dataDirectory: string): SecretStore[] {
  const folders = (env['TOWPATH_SECRET_FILES'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [envSecrets(env), fileSecrets({ below: folders.length === 0 ? ['/'] : folders, except: dataDirectory })];
}
