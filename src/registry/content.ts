/** A manifest of a registry, looked at without taking it into use. */
export interface HeldManifest {
  readonly repository: string;
  readonly digest: string;
  readonly tags: readonly string[];
  /** Of an index: its manifests. */
  readonly parts: readonly string[];
  /** Its config and layers; null where that was not read, or could not be. */
  readonly blobs: readonly string[] | null;
  /** What it speaks of, when it is a referrer. */
  readonly subject: string | null;
  /** What its config and layers have; others may share them. */
  readonly bytes: number;
  /** When somebody last pushed, named or asked for it. */
  readonly usedMs: number;
}

export interface ContentSweep {
  /** Manifests that stay without a tag. Those that no repository holds (any more) are passed over. */
  readonly kept: AsyncIterable<{ readonly repository: string; readonly digest: string }>;
  /** What was pushed, found or asked for since then stays, whatever names it: a push is under way, or has just ended. */
  readonly beforeMs: number;
  /** Manifests that were looked at just now, so that they need not be read once more: what a digest names never changes. */
  readonly known?: readonly HeldManifest[];
  readonly signal?: AbortSignal;
  /** Hears of each point that the sweep passes, at once. */
  readonly passed?: (point: SweepPoint) => void;
}

/**
 * How far a sweep of our own registry is: all that is needed is marked; of what is not, the names in the repositories have
 * gone, and then the blobs. `-aside`: one of them was moved aside, and it is not yet decided whether it goes.
 */
export type SweepPoint = 'mark' | 'name-aside' | 'names' | 'blob-aside' | 'blobs';

export interface Swept {
  readonly files: number;
  readonly bytes: number;
}

/** What a registry holds, for those who decide what of it may go. */
export interface RegistryContent {
  /** Every manifest, repository by repository. */
  held(signal?: AbortSignal): Promise<readonly HeldManifest[]>;
  /** Removes what no tag and nothing of `kept` needs. Any process may do it, at any time. */
  sweep(wish: ContentSweep): Promise<Swept>;
}
