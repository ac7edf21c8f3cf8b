import { sha256Hex } from './digest.ts';

/**
 * A name that is valid at once as an image tag, a DNS label (63) and the prefix of an SQL identifier: a readable part
 * of the given name and eight hex digits of the SHA-256 of the whole of it, so that two names never share a slug
 * though they read alike (`a/b`, `a-b`, `A-B`). It always begins with a letter.
 */
export function slugOf(name: string, maxLength = 40): string {
  const readable = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, maxLength - 9)
    .replace(/-+$/, '');
  return `${readable === '' ? 'x' : readable}-${sha256Hex(name).slice(0, 8)}`;
}
