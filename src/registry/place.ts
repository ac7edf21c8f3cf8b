import { type ImageReference, parseReference } from './reference.ts';

/** A registry, or the part of one below a prefix. */
export interface RegistryPlace {
  /** With its port. */
  readonly host: string;
  /** The first parts of each repository's name; empty for a whole registry. */
  readonly prefix: string;
}

/** Reads `host[:port][/prefix]`, without a scheme. @returns null for anything else */
export function parsePlace(text: string): RegistryPlace | null {
  const reference = referenceOf(`${text}/x`);
  if (reference === null) return null;
  const prefix = reference.repository.slice(0, -'/x'.length);
  const place = `${reference.host}${prefix === '' ? '' : `/${prefix}`}`;
  return place === text ? { host: reference.host, prefix } : null;
}

function referenceOf(text: string): ImageReference | null {
  try {
    return parseReference(text);
  } catch {
    return null;
  }
}
