import type { Digest } from '../lib/digest.ts';
import type { CheckType } from './check-type.ts';
import type { CheckAnswer } from './kind.ts';

/** An answer with the question that it answers; the latest about a question counts. */
export interface Evidence {
  /** Given by whoever asks, so that recording it twice is recording it once. */
  readonly id: string;
  readonly projectId: string;
  readonly question: string;
  readonly check: string;
  /** What sort of test it was called. */
  readonly type?: CheckType | null;
  readonly service: string | null;
  readonly releaseId: string | null;
  readonly environmentId: string | null;
  /** Service -> digest: what the question was asked of. */
  readonly digests: Readonly<Record<string, Digest>>;
  readonly answer: CheckAnswer;
  readonly logId: string | null;
}

export interface RecordedEvidence extends Evidence {
  readonly at: Date;
}

/** One answer that something (a gate, an artifact) needs. */
export interface WantedAnswer {
  readonly check: string;
  readonly service: string;
  readonly question: string;
}

export type Standing = WantedAnswer &
  (
    | { readonly state: 'passed' | 'failed' | 'error'; readonly evidence: RecordedEvidence }
    | { readonly state: 'missing' }
  );

/** How each wanted answer stands. Only `passed` is green: what is missing is not. */
export function standingOf(
  wanted: readonly WantedAnswer[],
  latest: ReadonlyMap<string, RecordedEvidence>,
): readonly Standing[] {
  return wanted.map((answer) => {
    const evidence = latest.get(answer.question);
    if (evidence === undefined) return { ...answer, state: 'missing' };
    return { ...answer, state: evidence.answer.verdict, evidence };
  });
}
