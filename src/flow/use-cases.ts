import type { Digest } from '../lib/digest.ts';

/**
 * What people and programs can ask of Towpath. The faces (HTTP, and through it the CLI and the page) are thin over this;
 * `by` is the authenticated user. Instants are ISO 8601 in UTC. Anything refused or not found is a `TowpathError`.
 */
export interface UseCases {
  readonly projects: {
    add(request: AddProject, by: string): Promise<ProjectView>;
    list(): Promise<ProjectView[]>;
    show(project: string): Promise<ProjectView>;
    /** Says by which references its repositories are reached and woken; what is not given stays. They are polled at once. */
    change(project: string, change: ChangeProject, by: string): Promise<ProjectView>;
    /** Polls its repositories now. */
    refresh(project: string, by: string): Promise<void>;
  };
  /** @param project one project's rows, else all */
  matrix(project?: string): Promise<MatrixView>;
  readonly releases: {
    list(project: string, page: PageRequest): Promise<Page<ReleaseView>>;
    /** @param release an id, a number (`#12`), a commit (7 digits or more), a branch or a tag */
    show(project: string, release: string): Promise<ReleaseDetail>;
    /** Takes any service from any release; services not named come from `base`. */
    mix(request: MixRequest, by: string): Promise<ReleaseView>;
    yank(project: string, release: string, reason: string, by: string): Promise<ReleaseView>;
    unyank(project: string, release: string, by: string): Promise<ReleaseView>;
    /** Builds again what failed. */
    retry(project: string, release: string, by: string): Promise<ReleaseView>;
  };
  readonly promotions: {
    /** With `dryRun` nothing is stored: the answer is the policy's. */
    request(request: PromoteRequest, by: string): Promise<PromoteAnswer>;
    show(id: string): Promise<PromotionDetail>;
    list(project: string, page: PageRequest & { readonly environment?: string }): Promise<Page<PromotionView>>;
    approve(id: string, comment: string | undefined, by: string): Promise<PromotionView>;
    reject(id: string, comment: string | undefined, by: string): Promise<PromotionView>;
    cancel(id: string, by: string): Promise<PromotionView>;
  };
  readonly environments: {
    list(project: string): Promise<EnvironmentView[]>;
    show(project: string, environment: string): Promise<EnvironmentDetail>;
    /** Puts the release before the present one (or `to`) back, ahead of everything else, and sets a hold. */
    rollback(request: RollbackRequest, by: string): Promise<PromoteAnswer>;
    hold(project: string, environment: string, reason: string, by: string): Promise<EnvironmentView>;
    resume(project: string, environment: string, by: string): Promise<EnvironmentView>;
    /** Ends a preview now. */
    remove(project: string, environment: string, by: string): Promise<EnvironmentView>;
  };
  /** @param subject a promotion's id, an environment's name, or a release */
  why(project: string, subject: string): Promise<WhyView>;
  /** @param from and @param to an environment's name or a release */
  diff(project: string, from: string, to: string): Promise<DiffView>;
  /** Both ways: from a commit, release, digest or environment to all that stands before and behind it. */
  lineage(project: string, subject: string): Promise<LineageView>;
  readonly logs: {
    read(logId: string, afterSeq: string | undefined): Promise<LogBatch>;
    follow(logId: string, afterSeq: string | undefined, signal: AbortSignal): AsyncIterable<LogBatch>;
  };
  readonly events: { follow(afterId: string | undefined, signal: AbortSignal): AsyncIterable<EventView> };
  readonly audit: { list(page: PageRequest & { readonly subject?: string }): Promise<Page<AuditView>> };
  /** Only wakes the poll: nothing of the body is believed. @throws TowpathError `webhook.unsigned`, `webhook.stale` */
  webhook(
    repositoryId: string,
    headers: Readonly<Record<string, string | undefined>>,
    body: Buffer,
  ): Promise<'woken' | 'known'>;
}

export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Absent on the last page. */
  readonly next?: string;
}

export interface AddProject {
  /** `https://`, `ssh://`, `user@host:path`; `file://` and `http://` only where the server allows them. */
  readonly url: string;
  /** Read from `towpath.yaml` when it is not given. */
  readonly name?: string | undefined;
  /** Of a repository that is not public: a reference to a token or a key, never the value. */
  readonly credential?: string | undefined;
}

/** References to secrets, such as `env:SHOP_TOKEN`; null takes one away. */
export interface ChangeProject {
  readonly credential?: string | null | undefined;
  readonly webhookSecret?: string | null | undefined;
}

export interface ProjectView {
  readonly id: string;
  readonly name: string;
  readonly repositories: readonly {
    readonly id: string;
    readonly url: string;
    readonly defaultBranch: string;
    readonly polledAt: string | null;
    /** The reference to what it is reached with. */
    readonly credential: string | null;
    /** Where its webhook goes, and the reference to the secret that signs it; without one none is accepted. */
    readonly webhook: { readonly path: string; readonly secret: string | null };
    readonly problem: ProblemView | null;
    readonly configProblem: ProblemView | null;
  }[];
}

export interface ProblemView {
  readonly code: string;
  readonly what: string;
  readonly fix: string;
}

export interface MatrixView {
  readonly at: string;
  readonly projects: readonly {
    readonly name: string;
    readonly services: readonly string[];
    /** In the order of the path; previews last. */
    readonly environments: readonly MatrixEnvironment[];
  }[];
}

export interface MatrixEnvironment extends EnvironmentView {
  readonly cells: readonly MatrixCell[];
}

export interface MatrixCell {
  readonly service: string;
  readonly digest: Digest;
  readonly releaseId: string;
  readonly url: string | null;
  readonly since: string;
  /** True when it is newer than what the next environment of the path runs. */
  readonly ahead: boolean;
}

export interface HoldView {
  readonly reason: string;
  readonly by: string;
  readonly since: string;
}

export interface EnvironmentView {
  readonly id: string;
  readonly name: string;
  readonly kind: 'static' | 'preview';
  readonly branch: string | null;
  readonly expiresAt: string | null;
  readonly hold: HoldView | null;
  readonly current: (ReleaseBrief & { readonly since: string }) | null;
  /** What is on its way in, the newest first. */
  readonly open: readonly PromotionView[];
  /** The newest ended one that did not go live, while nothing newer did. */
  readonly lastTrouble: PromotionView | null;
  readonly canRollBack: { readonly to: ReleaseBrief } | { readonly to: null; readonly reason: string };
}

export interface EnvironmentDetail extends EnvironmentView {
  readonly trigger: string;
  readonly from: readonly string[];
  readonly gates: readonly string[];
  readonly driver: string;
  readonly services: readonly {
    readonly service: string;
    readonly digest: Digest;
    readonly url: string | null;
    readonly since: string;
  }[];
  readonly history: readonly PromotionView[];
}

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

export interface EvidenceView {
  readonly id: string;
  readonly check: string;
  readonly service: string | null;
  readonly verdict: 'passed' | 'failed' | 'error';
  readonly summary: string;
  readonly at: string;
  readonly logId: string | null;
}

export interface MixRequest {
  readonly project: string;
  readonly base: string;
  /** Service -> release (id, number, commit, branch or tag). */
  readonly services: Readonly<Record<string, string>>;
}

export interface PromoteRequest {
  readonly project: string;
  readonly environment: string;
  /** A release's id, number, commit, branch or tag. */
  readonly release: string;
  /** Services that come from another release: makes a mixed release on the way. */
  readonly services?: Readonly<Record<string, string>> | undefined;
  readonly dryRun?: boolean | undefined;
}

export interface RollbackRequest {
  readonly project: string;
  readonly environment: string;
  readonly to?: string | undefined;
  readonly reason?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

export type PromoteAnswer =
  | { readonly kind: 'started'; readonly promotion: PromotionView }
  | {
      readonly kind: 'would';
      readonly verdict: 'go' | 'wait' | 'refuse';
      readonly reasons: readonly ReasonView[];
      readonly diff: DiffView;
    };

export type PromotionState =
  | 'requested'
  | 'evaluating'
  | 'waiting'
  | 'tagging'
  | 'deploying'
  | 'verifying'
  | 'live'
  | 'refused'
  | 'failed'
  | 'superseded'
  | 'cancelled'
  | 'rolled-back';

export interface PromotionView {
  readonly id: string;
  readonly number: number;
  readonly kind: 'promotion' | 'rollback' | 'removal';
  readonly project: string;
  readonly environment: string;
  readonly release: ReleaseBrief;
  readonly state: PromotionState;
  readonly automatic: boolean;
  readonly requestedBy: string;
  /** One sentence on the state: what it waits for and until when, why it was refused, which step failed. */
  readonly headline: string;
  readonly createdAt: string;
  readonly changedAt: string;
  readonly endedAt: string | null;
  readonly logId: string;
}

export interface PromotionDetail extends PromotionView {
  readonly reasons: readonly ReasonView[];
  readonly approvals: readonly {
    readonly by: string;
    readonly verdict: 'approved' | 'rejected';
    readonly comment: string | null;
    readonly at: string;
  }[];
  readonly events: readonly {
    readonly from: PromotionState | null;
    readonly to: PromotionState;
    readonly at: string;
    readonly note: string;
  }[];
}

/** Why something waits or was refused: the gate, what is missing, what to do, until when. */
export interface ReasonView {
  readonly gate: string;
  readonly what: string;
  readonly fix: string | null;
  readonly until: string | null;
}

export interface WhyView {
  readonly subject: string;
  readonly headline: string;
  readonly reasons: readonly ReasonView[];
  /** What was looked at, oldest first. */
  readonly story: readonly { readonly at: string; readonly what: string }[];
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

export interface LogBatch {
  readonly lines: readonly string[];
  /** Give it back as `afterSeq` to go on. */
  readonly seq: string;
  /** True when nothing more will be written. */
  readonly ended: boolean;
}

export interface EventView {
  readonly id: string;
  readonly at: string;
  readonly project: string | null;
  readonly kind: string;
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface AuditView {
  readonly id: string;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly detail: Readonly<Record<string, unknown>>;
}
