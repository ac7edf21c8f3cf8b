import type { CheckType } from '../../check/check-type.ts';
import type { Digest } from '../../lib/digest.ts';
import type { ProblemView } from './project.ts';
import type { PromotionView } from './promotion.ts';

export interface ReleaseBrief {
  readonly id: string;
  readonly number: number;
  readonly commit: string;
  readonly subject: string;
  /** Branches and tags, tags first. */
  readonly names: readonly string[];
  readonly yanked: boolean;
}

export interface ReleaseView extends ReleaseBrief {
  readonly state: 'building' | 'ready' | 'failed';
  readonly mixed: boolean;
  readonly author: string;
  readonly createdAt: string;
  readonly problem: ProblemView | null;
  readonly yank: { readonly reason: string; readonly by: string; readonly at: string } | null;
  readonly services: readonly {
    readonly service: string;
    readonly commit: string;
    readonly key: string;
    readonly state: 'building' | 'built' | 'failed';
    readonly digest: Digest | null;
    /** True when the artifact was there before this release was cut. */
    readonly reused: boolean;
    readonly logId: string;
  }[];
}

export interface ReleaseDetail extends ReleaseView {
  readonly evidence: readonly EvidenceView[];
  readonly promotions: readonly PromotionView[];
}

/** Checks of a release that were asked again. Each answer is told by an event whose data name the test. */
export interface TestView {
  readonly id: string;
  readonly release: ReleaseBrief;
  readonly asked: readonly { readonly check: string; readonly service: string }[];
  /** Events after this one tell the answers. */
  readonly after: string;
}

export interface EvidenceView {
  readonly id: string;
  readonly check: string;
  /** What sort of test it was called when it was asked. */
  readonly type: CheckType | null;
  readonly service: string | null;
  readonly verdict: 'passed' | 'failed' | 'error';
  /** It passed after a try that did not. */
  readonly flaky: boolean;
  readonly summary: string;
  readonly at: string;
  readonly logId: string | null;
  /** How many files its run has left for people to see. */
  readonly kept: number;
}

/** Evidence with what its run has left. */
export interface EvidenceDetail extends EvidenceView {
  readonly files: readonly {
    readonly path: string;
    readonly size: number;
    readonly digest: Digest;
    /** It was kept long enough. */
    readonly gone: boolean;
  }[];
  /** What was written and not kept: too large, too many, or no plain file. */
  readonly leftOut: number;
}
