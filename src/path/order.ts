import type { Order } from './facts.ts';

/** What git knows of two commits: which contains the other, and how far each is along the default branch. */
export interface Ancestry {
  readonly currentIsAncestor: boolean;
  readonly releaseIsAncestor: boolean;
  /** First-parent position on the default branch, null for a commit that is not on it. */
  readonly currentPosition: number | null;
  readonly releasePosition: number | null;
}

/** Invariant 5: git ancestry first, the first-parent position where ancestry is broken, never time. */
export function orderOf(ancestry: Ancestry | null): Order {
  if (ancestry === null) return 'first';
  if (ancestry.currentIsAncestor) return 'newer';
  if (ancestry.releaseIsAncestor) return 'older';
  const { currentPosition, releasePosition } = ancestry;
  if (currentPosition === null || releasePosition === null || currentPosition === releasePosition) return 'diverged';
  return releasePosition > currentPosition ? 'newer' : 'older';
}

/** Of one commit, its later edition (its base images were refreshed) is the newer one. */
export function orderOfEditions(current: number, release: number): Order {
  if (current === release) return 'same';
  return release > current ? 'newer' : 'older';
}
