import type { GitObject } from './object-reader.ts';

/** Commits that are looked through before git is asked. */
const NEAR = 64;

/**
 * Whether a short way leads from a commit to an ancestor, as it mostly does from somebody's commit to ours.
 * @param read what is at hand; null for what is not
 * @returns false when it is not known
 */
export async function isNear(
  ancestor: string,
  descendant: string,
  read: (oid: string) => Promise<GitObject | null>,
): Promise<boolean> {
  const seen = new Set([descendant]);
  for (const oid of seen) {
    const found = await read(oid);
    if (found?.type !== 'commit') continue;
    if (oid === ancestor) return true;
    if (seen.size < NEAR) for (const parent of parentsIn(found)) seen.add(parent);
  }
  return false;
}

function parentsIn({ bytes }: GitObject): string[] {
  const [head = ''] = bytes.toString('latin1').split('\n\n', 1);
  return Array.from(head.matchAll(/^parent ([0-9a-f]+)$/gm), ([, parent = '']) => parent);
}
