import type { Identity } from '../../access/identity.ts';
import type { Digest } from '../../lib/digest.ts';
import type { ReasonView } from './promotion.ts';
import type { EvidenceView, ReleaseBrief } from './release.ts';
import type { PromotionState } from '../../path/promotion.ts';

export interface WhyView {
  readonly subject: string;
  /** The instant that was asked about; null for now. */
  readonly at: string | null;
  readonly headline: string;
  readonly reasons: readonly ReasonView[];
  /** What was looked at, oldest first. */
  readonly story: readonly { readonly at: string; readonly what: string }[];
  /** Of a release: how it stands to each environment of the path. */
  readonly environments: readonly WhyPlaceView[];
}

/** What the policy says of a release in an environment, condition by condition. */
export interface WhyPlaceView {
  readonly environment: string;
  readonly verdict: 'runs' | 'go' | 'wait' | 'refuse';
  readonly headline: string;
  /** The earliest instant at which something in the answer changes by itself. */
  readonly until: string | null;
  /** The one that is on its way there. */
  readonly promotion: string | null;
  readonly lines: readonly WhyLineView[];
  /** What was not recorded as of the instant that was asked about. */
  readonly unknown: readonly string[];
}

export interface WhyLineView extends ReasonView {
  readonly verdict: 'pass' | 'wait' | 'refuse';
  readonly evidence: readonly (EvidenceView & {
    /** The release that it was asked for, when that is another one: an unchanged question is not asked twice. */
    readonly reusedFrom: string | null;
  })[];
}

export interface CommitView {
  readonly sha: string;
  readonly author: string;
  readonly at: string;
  readonly subject: string;
}

export interface DiffView {
  readonly from: string;
  readonly to: string;
  readonly services: readonly {
    readonly service: string;
    readonly from: Digest | null;
    readonly to: Digest | null;
    readonly same: boolean;
  }[];
  /** Commits that `to` has and `from` lacks, newest first; at most 100. */
  readonly commits: readonly CommitView[];
  /** Commits that `from` has and `to` lacks: what a step back would take away. */
  readonly lost: readonly CommitView[];
}

export interface ReportedView {
  readonly by: string;
  readonly at: string;
  readonly commit: string;
  readonly image: string;
  readonly identity: Identity | null;
  /** What its provenance says, if there was one: the builder, and the repositories with their commits. */
  readonly provenance: {
    readonly builder: string | null;
    readonly sources: readonly { readonly uri: string; readonly commit: string | null }[];
    /** Whether signatures came with it; they are not looked at. */
    readonly signed: boolean;
  } | null;
}

export interface LineageView {
  readonly subject: string;
  readonly commits: readonly {
    readonly sha: string;
    readonly author: string;
    readonly subject: string;
    readonly refs: readonly string[];
  }[];
  readonly releases: readonly ReleaseBrief[];
  readonly artifacts: readonly {
    readonly service: string;
    readonly key: string;
    readonly digest: Digest | null;
    readonly builtFor: string;
    /** Of what another CI built. */
    readonly reported: ReportedView | null;
    /** The artifacts of the base services that it is built upon. */
    readonly upon: readonly { readonly service: string; readonly key: string }[];
  }[];
  readonly evidence: readonly EvidenceView[];
  readonly environments: readonly {
    readonly environment: string;
    readonly promotion: string;
    readonly release: string;
    readonly state: PromotionState;
    readonly at: string;
    readonly now: boolean;
  }[];
}
