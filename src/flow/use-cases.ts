import type { Identity } from '../access/identity.ts';
import type { WebhookOutcome } from '../source/webhook.ts';
import type { Digest } from '../lib/digest.ts';
import type { EnvironmentDetail, EnvironmentView, MatrixView } from './view/environment.ts';
import type { BaseView, RefreshView } from './view/base.ts';
import type { RevokedKeyView, SigningKeyView } from './view/key.ts';
import type { ChannelTestView, ChannelView } from './view/channel.ts';
import type { PactPairView, PactView } from './view/pact.ts';
import type { DiffView, LineageView, WhyView } from './view/path.ts';
import type { ProjectView } from './view/project.ts';
import type { PromoteAnswer, PromotionDetail, PromotionView } from './view/promotion.ts';
import type { SweepView } from './view/registry.ts';
import type { ReportView } from './view/report.ts';
import type { EvidenceDetail, ReleaseDetail, ReleaseView, TestView } from './view/release.ts';

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
    /** Watches it no more and ends every environment of it; then its name is free again. What was recorded stays. */
    remove(project: string, by: string): Promise<ProjectView>;
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
    /** Asks its checks again, or the one of this name, whatever they answered before. */
    test(project: string, release: string, check: string | undefined, by: string): Promise<TestView>;
  };
  readonly evidence: {
    show(project: string, id: string): Promise<EvidenceDetail>;
    /** A file that its run has left, as that wrote it. @throws TowpathError `check.file-unknown`, `check.file-missing` */
    file(project: string, id: string, path: string): Promise<{ size: number; bytes: AsyncIterable<Buffer> }>;
  };
  readonly reports: {
    /**
     * What another CI built. It is looked at in the background; asked again with the same digest, the report that stands is
     * given.
     * @param identity of a CI: it reports the commit of its job and no other
     * @throws TowpathError `artifact.report-conflict`, `artifact.provenance-malformed`, `artifact.built-here`,
     * `access.commit-forbidden`
     */
    make(request: ReportRequest, by: string, identity?: Identity | null): Promise<ReportView>;
    show(project: string, id: string): Promise<ReportView>;
    /** The newest 50. */
    list(project: string): Promise<ReportView[]>;
  };
  readonly channels: {
    /** Those that the path names, and how telling by them goes. */
    list(project: string): Promise<ChannelView[]>;
    /** Sends a message that says it is a test, once and at once. @throws TowpathError `notify.unknown-channel`, `notify.no-receiver` */
    test(project: string, channel: string, by: string): Promise<ChannelTestView>;
  };
  /**
   * Who the job of a CI is, by its identity token, as the path of the project trusts it.
   * @throws TowpathError `access.identity-malformed`, `access.identity-untrue`, `access.identity-refused`,
   * `access.issuer-unavailable`; the token is in none of them
   */
  identify(project: string, token: string): Promise<Identity>;
  readonly bases: {
    /** The pins of outside base images, by reference. */
    list(project: string): Promise<BaseView[]>;
    /** Asks what the references mean today: all that some branch builds upon, or one. With `dryRun` nothing is stored. */
    refresh(request: RefreshRequest, by: string): Promise<RefreshView>;
  };
  readonly pacts: {
    /** The newest 100. */
    list(project: string): Promise<PactView[]>;
    /** Of what runs in each environment now. */
    matrix(project: string): Promise<PactPairView[]>;
  };
  readonly registry: {
    /** Removes what nothing needs, and says of every manifest why it goes or stays. With `dryRun` nothing is touched. */
    sweep(request: { readonly dryRun?: boolean | undefined }, by: string): Promise<SweepView>;
  };
  readonly keys: {
    /** Public keys alone, the newest first. */
    list(): Promise<SigningKeyView[]>;
    rotate(by: string): Promise<SigningKeyView[]>;
    /**
     * @param key its hint, or the beginning of it
     * @throws TowpathError `attestation.key-unknown`, `attestation.key-revoked`
     */
    revoke(key: string, reason: string, by: string): Promise<RevokedKeyView>;
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
    /** Takes down what runs there, and holds it: it stays, empty. */
    stop(project: string, environment: string, reason: string | undefined, by: string): Promise<EnvironmentView>;
    /** Ends a preview now, or an environment that the path does not name any more. */
    remove(project: string, environment: string, by: string): Promise<EnvironmentView>;
  };
  /**
   * @param subject an environment's name, a promotion (its id, the beginning of it, or `promotion 12`), or a release
   * @param where of a release: in one environment, or as it was at an instant
   */
  why(project: string, subject: string, where?: { environment?: string; at?: Date }): Promise<WhyView>;
  /** @param from and @param to an environment's name or a release */
  diff(project: string, from: string, to: string): Promise<DiffView>;
  /** Both ways: from a commit, release, digest or environment to all that stands before and behind it. */
  lineage(project: string, subject: string): Promise<LineageView>;
  readonly logs: {
    /** Whose it is, by name: an artifact may be of several projects. None for a log that nothing has. */
    projectsOf(logId: string): Promise<readonly string[]>;
    read(logId: string, afterSeq: string | undefined): Promise<LogBatch>;
    follow(logId: string, afterSeq: string | undefined, signal: AbortSignal): AsyncIterable<LogBatch>;
  };
  readonly output: {
    /**
     * What a service prints in an environment, for servers on the machine where it runs.
     * @throws TowpathError `output.unknown`, `output.elsewhere`, `deploy.no-output`
     */
    open(
      project: string,
      environment: string,
      service: string,
    ): Promise<(wish: OutputWish, signal: AbortSignal) => AsyncIterable<OutputBatch>>;
  };
  readonly events: { follow(afterId: string | undefined, signal: AbortSignal): AsyncIterable<EventView> };
  readonly audit: {
    /** @param page with `subject` what was done to that: an id, or what people call it, in `project` or in any */
    list(
      page: PageRequest & { readonly subject?: string | undefined; readonly project?: string | undefined },
    ): Promise<Page<AuditView>>;
  };
  /** Only wakes the poll: nothing of the body is believed. @throws TowpathError `webhook.unsigned`, `webhook.stale`, `webhook.secret-unavailable` */
  webhook(
    repositoryId: string,
    headers: Readonly<Record<string, string | undefined>>,
    body: Buffer,
  ): Promise<WebhookOutcome>;
  /** Only wakes whoever waits in the project. @throws TowpathError `check.unsigned-webhook` */
  analysed(repositoryId: string, headers: Readonly<Record<string, string | undefined>>, body: Buffer): Promise<void>;
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
  /** What kind of server it is on; read from the URL when it is not given. */
  readonly host?: string | undefined;
}

/** References to secrets, such as `env:SHOP_TOKEN`; null takes one away. */
export interface ChangeProject {
  /** Null: what the URL says. */
  readonly host?: string | null | undefined;
  readonly credential?: string | null | undefined;
  readonly webhookSecret?: string | null | undefined;
  /** With a token its host is told what becomes of its commits. */
  readonly notices?: string | null | undefined;
  /** A member, as the home repository calls it; else the home itself. */
  readonly repository?: string | undefined;
}

export interface MixRequest {
  readonly project: string;
  readonly base: string;
  /** Service -> release (id, number, commit, branch or tag). */
  readonly services: Readonly<Record<string, string>>;
}

export interface ReportRequest {
  readonly project: string;
  readonly service: string;
  /** All digits of it. */
  readonly commit: string;
  readonly digest: Digest;
  /** Registry and repository; where `towpath.yaml` names them whole it may be left out. */
  readonly image?: string | undefined;
  /** The text of a file with provenance. */
  readonly provenance?: string | undefined;
}

export interface RefreshRequest {
  readonly project: string;
  readonly reference?: string | undefined;
  readonly dryRun?: boolean | undefined;
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

export interface LogBatch {
  readonly lines: readonly string[];
  /** Give it back as `afterSeq` to go on. */
  readonly seq: string;
  /** True when nothing more will be written. */
  readonly ended: boolean;
}

export interface OutputWish {
  /** How many of the last lines of each replica come first. */
  readonly tail: number;
  /** Goes on until the signal, over deployments too. */
  readonly follow: boolean;
  /** `seq` of the last batch that was read: goes on after it. */
  readonly after?: string | undefined;
}

/** Some lines of one replica. */
export interface OutputBatch {
  readonly replica: string;
  /** The number of the promotion that started it. */
  readonly promotion: number | null;
  readonly lines: readonly string[];
  /** What has to be said besides, such as that lines are not kept any more. */
  readonly note: string | null;
  readonly seq: string;
  /** True once, when nothing more will come. */
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
  /** What people call the subject; its id where it has no other name. */
  readonly name: string;
  readonly detail: Readonly<Record<string, unknown>>;
}
