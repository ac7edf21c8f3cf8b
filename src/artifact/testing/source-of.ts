import { createHash } from 'node:crypto';

import type { GitMode, SourceTree } from '../../git/tree.ts';

type Content = string | Buffer | { readonly mode: GitMode; readonly content: string | Buffer };

/** A source as git would give it: paths in order, blobs under the ids that git would compute. */
export function sourceOf(files: Readonly<Record<string, Content>>): SourceTree & { readonly reads: string[] } {
  const blobs = new Map<string, Buffer>();
  const reads: string[] = [];
  const entries = Object.entries(files)
    .sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
    .map(([path, given]) => {
      const { mode, content } =
        typeof given === 'string' || Buffer.isBuffer(given) ? { mode: '100644' as const, content: given } : given;
      const body = Buffer.from(content);
      const oid = createHash('sha1').update(`blob ${body.length}\u0000`).update(body).digest('hex');
      blobs.set(oid, body);
      return { mode, oid, path };
    });
  return {
    entries,
    reads,
    prefetch: async () => undefined,
    read: async (oid) => {
      reads.push(oid);
      const body = blobs.get(oid);
      if (!body) throw new Error(`There is no blob ${oid}.`);
      return body;
    },
  };
}
