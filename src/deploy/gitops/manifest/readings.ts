import { type Manifest, parseManifest } from './manifest.ts';

/** What was read of a file, while it stays as it was: an edit begins with what the one before it was proven by. */
export interface Readings {
  /** @throws GitopsError `gitops.not-yaml` */
  of(bytes: Uint8Array, file: string): Manifest;
  keep(manifest: Manifest): void;
}

/** Of text: what is read of it takes some hundred times as much. */
const MOST_CHARACTERS = 128 * 1024;

export function createReadings(mostCharacters = MOST_CHARACTERS): Readings {
  const kept = new Map<string, Manifest>();
  let characters = 0;

  const keep = (manifest: Manifest): void => {
    const key = keyOf(manifest);
    if (key.length > mostCharacters) return;
    characters += kept.delete(key) ? 0 : key.length; // to the end of the line
    kept.set(key, manifest);
    for (const oldest of kept.keys()) {
      if (characters <= mostCharacters) return;
      kept.delete(oldest);
      characters -= oldest.length;
    }
  };

  return {
    of: (bytes, file) => {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
      const known = kept.get(`${file}\0${text}`);
      return known ?? parseManifest(bytes, file);
    },
    keep,
  };
}

/** Byte for byte: bytes that are no UTF-8 are never taken for others. */
function keyOf({ file, bom, text }: Manifest): string {
  return `${file}\0${Buffer.from(bom ? `\ufeff${text}` : text).toString('latin1')}`;
}
