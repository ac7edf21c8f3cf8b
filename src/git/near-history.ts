import type { GitObject } from './object-reader.ts';

/** Commits that are looked through before git is asked. */
const NEAR = 64;

/**
 * Whether a short way leads from a commit to an ancestor, as it mostly does from somebody's commit to ours.
 * @param read what is at hand; null for what is not
 * @param upon an ancestor of that ancestor, if one is known: no way leads through it, so nothing behind it is looked at
 * @returns null when it is not known
 */
export async function isNear(
  ancestor: string,
  descendant: string,
  read: (oid: string) => Promise<GitObject | null>,
  upon?: string,
): Promise<boolean | null> {
  const seen = new Set([descendant]);
  let areAllSeen = true;
  for (const oid of seen) {
    if (oid === upon) continue;
    const found = await read(oid);
    if (found?.type === 'commit' && oid === ancestor) return true;
    if (found?.type === 'commit' && seen.size < NEAR) for (const parent of parentsIn(found)) seen.add(parent);
    else areAllSeen = false;
  }
  return areAllSeen ? false : null;
}

function parentsIn({ bytes }: GitObject): string[] {
  const [head = ''] = bytes.toString('latin1').split('\n\n', 1);
  return Array.from(head.matchAll(/^parent ([0-9a-f]+)$/gm), ([, parent = '']) => parent);
}
