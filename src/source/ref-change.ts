import { isBranch, type GitRef } from '../git/ref.ts';

/** What happened to a ref between two polls. Ids are commits: an annotated tag counts as the commit that it names. */
export type RefChange =
  | { readonly kind: 'created'; readonly ref: string; readonly before: null; readonly after: string }
  /** A branch went forward, or a tag was moved (which git itself calls forced, whatever the direction). */
  | { readonly kind: 'moved'; readonly ref: string; readonly before: string; readonly after: string }
  /** A branch went to a commit that does not hold the one before: history was rewritten. */
  | { readonly kind: 'forced'; readonly ref: string; readonly before: string; readonly after: string }
  | { readonly kind: 'deleted'; readonly ref: string; readonly before: string; readonly after: null };

/** A change that was written down. Its id is also the key under which the work that follows is done once. */
export type RefEvent = RefChange & { readonly id: string };

export interface RefPlan {
  readonly changes: readonly RefChange[];
  /** Rows to write: what is new or differs, also a tag that was written anew for the same commit (no change to tell). */
  readonly upserts: readonly GitRef[];
}

/** A pair of commits for which `forced` was found to be true. */
export type ForcedMoves = ReadonlySet<string>;

export function moveKey(before: string, after: string): string {
  return `${before}..${after}`;
}

/**
 * Compares what was known with what a server lists. However many polls were missed between, the result leads from the
 * one to the other: that is why a lost webhook loses nothing and a doubled one doubles nothing.
 */
export function planRefChanges(
  known: readonly GitRef[],
  listed: readonly GitRef[],
  forced: ForcedMoves = new Set(),
): RefPlan {
  const before = new Map(known.map((ref) => [ref.name, ref]));
  const names = new Set(listed.map(({ name }) => name));
  const changes: RefChange[] = [];
  const upserts: GitRef[] = [];
  for (const ref of listed) {
    const old = before.get(ref.name);
    if (old?.oid !== ref.oid || old.commit !== ref.commit) upserts.push(ref);
    if (old === undefined) {
      changes.push({ kind: 'created', ref: ref.name, before: null, after: ref.commit });
    } else if (old.commit !== ref.commit) {
      const kind = isBranch(ref.name) && forced.has(moveKey(old.commit, ref.commit)) ? 'forced' : 'moved';
      changes.push({ kind, ref: ref.name, before: old.commit, after: ref.commit });
    }
  }
  for (const { name, commit } of known)
    if (!names.has(name)) changes.push({ kind: 'deleted', ref: name, before: commit, after: null });
  return { changes, upserts };
}
