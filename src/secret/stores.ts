import type { SecretStore } from './secret.ts';
import { envSecrets } from './stores/env/env.ts';
import { fileSecrets } from './stores/file/file.ts';

/** The places that hold secrets; a new one is a folder in `stores/` and a line here. */
export function secretStores(env: Readonly<Record<string, string | undefined>>): SecretStore[] {
  return [envSecrets(env), fileSecrets()];
}
