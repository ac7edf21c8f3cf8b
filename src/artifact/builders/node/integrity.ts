import { createHash } from 'node:crypto';

const STRENGTH = ['sha512', 'sha384', 'sha256', 'sha1'] as const;

/** What a lock file says of a tarball's bytes, reduced to the strongest algorithm that it names. */
export interface Integrity {
  readonly algorithm: (typeof STRENGTH)[number];
  /** Any of these will do. */
  readonly hexes: readonly string[];
}

/** @returns null when the text names no algorithm that we know @see W3C Subresource Integrity */
export function parseIntegrity(text: string): Integrity | null {
  const parts = text
    .split(/\s+/)
    .map((part) => /^(sha\d+)-([A-Za-z0-9+/=]+)(\?.*)?$/.exec(part))
    .filter((match) => match !== null);
  for (const algorithm of STRENGTH) {
    const hexes = parts
      .filter(([, name]) => name === algorithm)
      .map(([, , base64]) => Buffer.from(base64 ?? '', 'base64').toString('hex'));
    if (hexes.length > 0) return { algorithm, hexes };
  }
  return null;
}

export function matchesIntegrity(bytes: Buffer, { algorithm, hexes }: Integrity): boolean {
  return hexes.includes(createHash(algorithm).update(bytes).digest('hex'));
}
