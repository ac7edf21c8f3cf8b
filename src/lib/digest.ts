import { createHash } from 'node:crypto';

import canonicalize from 'canonicalize';

/** A content digest as OCI writes it. Towpath makes sha256 only. */
export type Digest = `sha256:${string}`;

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && DIGEST.test(text);
}

export function sha256(bytes: string | Uint8Array): Digest {
  return `sha256:${sha256Hex(bytes)}`;
}

export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The hex part of a digest: file names and tags may not hold a colon. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/** Twelve hex digits: enough for people to tell digests apart, never used to look one up. */
export function shortDigest(digest: Digest): string {
  return hexOf(digest).slice(0, 12);
}

/** SHA-256 of the RFC 8785 (JCS) form of a JSON value: equal values, equal hash, whatever the order of keys. */
export function hashOfJson(value: unknown): string {
  return sha256Hex(canonicalJson(value));
}

/** @throws TypeError for what JSON cannot say (NaN, Infinity, a bare `undefined`) */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('This value has no JSON form.');
  return text;
}
