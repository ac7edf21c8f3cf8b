import type { GitMode, SourceTree } from '../../git/tree.ts';
import { sha256Hex } from '../../lib/digest.ts';

/** A service's source in memory: path -> text, or text with its mode. */
export function memorySource(files: Readonly<Record<string, string | { mode: GitMode; text: string }>>): SourceTree {
  const blobs = new Map<string, Buffer>();
  const entries = Object.entries(files)
    .map(([path, file]) => {
      const { mode, text } = typeof file === 'string' ? { mode: '100644' as const, text: file } : file;
      const oid = sha256Hex(text).slice(0, 40);
      blobs.set(oid, Buffer.from(text));
      return { mode, oid, path };
    })
    .toSorted((one, other) => Buffer.compare(Buffer.from(one.path), Buffer.from(other.path)));
  return {
    entries,
    read: async (oid) => blobs.get(oid) ?? Promise.reject(new Error(`no blob ${oid}`)),
    prefetch: async () => undefined,
  };
}
