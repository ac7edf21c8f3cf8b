import { RegistryError } from '../error.ts';

/** A digest that the store accepts from outside: sha256, and sha512 for those who ask for it. */
export type ContentDigest = `sha256:${string}` | `sha512:${string}`;

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

export function isContentDigest(text: string): text is ContentDigest {
  return DIGEST.test(text);
}

/** @throws RegistryError `registry.digest-invalid` */
export function checkContentDigest(text: string): ContentDigest {
  if (isContentDigest(text)) return text;
  throw new RegistryError({
    code: 'registry.digest-invalid',
    what: `"${text.slice(0, 160)}" is not a digest that this registry knows.`,
    fix: 'Use `sha256:` with 64 hexadecimal digits, or `sha512:` with 128.',
  });
}

/** What a client announces before it uploads. @throws RegistryError `registry.digest-invalid` */
export function checkAlgorithm(name: string | null): void {
  if (name === null || name === 'sha256' || name === 'sha512') return;
  throw new RegistryError({
    code: 'registry.digest-invalid',
    what: `"${name.slice(0, 40)}" is not an algorithm of digests that this registry knows.`,
    fix: 'Use sha256, or sha512.',
  });
}

export function algorithmOf(digest: ContentDigest): 'sha256' | 'sha512' {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** `sha256/<hex>`: the digest as a part of a path. */
export function pathOf(digest: ContentDigest): string {
  return digest.replace(':', '/');
}
