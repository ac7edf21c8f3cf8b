import { createHash } from 'node:crypto';

import type { Digest } from '../lib/digest.ts';
import { RegistryError } from './error.ts';

/**
 * Hands on the bytes of a blob and ends with an error unless they have the digest: a reader must not believe what it
 * read before the end came.
 * @throws RegistryError `registry.digest-mismatch`
 */
export async function* verified(content: AsyncIterable<Uint8Array>, digest: Digest): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const chunk of content) {
    hash.update(chunk);
    yield chunk;
  }
  const computed = `sha256:${hash.digest('hex')}`;
  if (computed !== digest) throw digestMismatch(digest, computed);
}

export function digestMismatch(promised: string, computed: string): RegistryError {
  return new RegistryError({
    code: 'registry.digest-mismatch',
    what: `The content promised as ${promised} has the digest ${computed}.`,
    fix: 'Send or read it again. If it stays so, the store is damaged: remove the content and build the artifact anew.',
  });
}
