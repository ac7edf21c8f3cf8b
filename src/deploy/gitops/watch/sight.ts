import type { Digest } from '../../../lib/digest.ts';

/** What a program that deploys from a manifest repository tells at one moment. */
export interface Sight {
  /** False while it has not looked at the repository since it was asked to: what it tells is of before. */
  readonly looked: boolean;
  /** The commits that it tells of, one for each of its sources; null of what knows no commits. */
  readonly revisions: readonly string[] | null;
  readonly state: 'good' | 'coming' | 'bad';
  /** In its own words, on one line. */
  readonly says: string;
  /** References of the images that it sees there. */
  readonly images: readonly string[];
}

/** How a commit stands to the one that was written: it holds those images, is from before, or others wrote over them. */
export type Standing = 'holds' | 'before' | 'overwritten';

export type SightVerdict =
  | { readonly kind: 'good' }
  /** It has not looked since it was asked: what is known stays so. */
  | { readonly kind: 'unseen'; readonly what: string }
  | { readonly kind: 'wait' | 'bad'; readonly what: string; readonly isOurs: boolean }
  | { readonly kind: 'overwritten'; readonly revision: string };

/**
 * Is what is told what was written? Of another commit nothing counts, neither well nor ill: "Healthy" may be of before. What is
 * bad and names no commit is believed once it has looked.
 * @param standings of each of its revisions, in their order
 */
export function verdictOf(sight: Sight, standings: readonly Standing[], wanted: readonly Digest[]): SightVerdict {
  const { looked, revisions, state, says } = sight;
  if (!looked) return { kind: 'unseen', what: 'has not looked at the repository yet' };
  const overwritten = standings.indexOf('overwritten');
  if (overwritten >= 0) return { kind: 'overwritten', revision: revisions?.[overwritten] ?? '' };
  const isOurs = revisions === null || standings.includes('holds');
  if (state === 'bad' && (isOurs || revisions.length === 0)) return { kind: 'bad', what: says, isOurs };
  if (!isOurs)
    return { kind: 'wait', what: `is ${atCommits(revisions)}, which is not what was written: ${says}`, isOurs };
  if (state !== 'good') return { kind: 'wait', what: says, isOurs };
  const unseen = wanted.find((digest) => !sees(sight, digest));
  return unseen === undefined
    ? { kind: 'good' }
    : { kind: 'wait', what: `${says}, and nothing of ${unseen.slice(0, 19)} is seen there`, isOurs };
}

/** A pod, or a template of pods, names the digest itself. */
export function sees({ images }: Sight, digest: Digest): boolean {
  return images.some((image) => image.endsWith(`@${digest}`));
}

/** Of what programs say, as much as people read. */
export function oneLine(text: string): string {
  const line = text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
  return line.length > MOST_SAID ? `${line.slice(0, MOST_SAID)}...` : line;
}

const MOST_SAID = 600;

function atCommits(revisions: readonly string[]): string {
  return revisions.length === 0 ? 'at no commit' : `at ${revisions.map((one) => one.slice(0, 12)).join(' and ')}`;
}
