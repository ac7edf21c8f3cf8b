import type { CheckVerdict } from '../check/kind.ts';
import type { Gate } from './gate.ts';
import type { RuleAnswer } from './rule.ts';

/**
 * All that a promotion is decided from, as recorded. Gathered once, stored with the decision, and the same facts always
 * give the same decision: so `why`, a dry run and a replay say what the engine does.
 */
export interface PromotionFacts {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly promotion: {
    readonly kind: 'promotion' | 'rollback';
    readonly automatic: boolean;
    readonly requestedBy: string;
  };
  readonly environment: {
    readonly name: string;
    readonly accepts: 'path' | 'any';
    readonly from: readonly string[];
    readonly gates: readonly Gate[];
    readonly hold: { readonly reason: string; readonly by: string } | null;
  };
  readonly release: ReleaseFacts;
  readonly order: Order;
  /** What runs there now, for messages. */
  readonly currentName: string | null;
  readonly predecessors: readonly PredecessorFacts[];
  /** The branch whose head the path is read from. */
  readonly protectedBranch: string;
  /** For each check that a gate names: what is known of it for each service that is asked it, here or on the protected branch. */
  readonly evidence: Readonly<Record<string, readonly AnswerFacts[]>>;
  /** For the gate `can-i-deploy`; null where it is not asked. */
  readonly contracts: ContractFacts | null;
  readonly approvals: readonly ApprovalFacts[];
  readonly roles: Readonly<Record<string, readonly string[]>>;
  /** User -> names and addresses in git; who is in it has no others. */
  readonly users: Readonly<Record<string, readonly string[]>>;
  /** Who wrote the commits that this promotion brings, as git has them: what it says is claimed, and proved by nothing. */
  readonly authors: readonly GitIdentity[];
  /** Who made these commits what they are: whoever amends one stays unnamed as its author. */
  readonly committers: readonly GitIdentity[];
  /** An earlier try of the same artifacts here that failed, when nothing but automation asks again. */
  readonly failedHere: { readonly promotion: number; readonly what: string } | null;
  readonly unchanged: UnchangedFacts;
  /** Rule -> its answer, where it was answered before and what it speaks of is not known any more. */
  readonly rules?: Readonly<Record<string, RuleAnswer>>;
}

export interface GitIdentity {
  readonly name: string;
  readonly email: string;
}

export interface ReleaseFacts {
  readonly name: string;
  readonly state: 'building' | 'ready' | 'failed';
  /** Why it has no artifacts, or what they wait for. */
  readonly problem: string | null;
  readonly mixed: boolean;
  /** The reason of a yank of this release or of one with the same artifacts. */
  readonly yanked: string | null;
  /** Releases nearby that could be promoted instead. */
  readonly nearest: readonly string[];
}

/**
 * How the release stands to what runs: by git ancestry, or by first-parent position on the default branch where
 * ancestry is broken. Never by time.
 */
export type Order = 'first' | 'newer' | 'older' | 'same' | 'diverged';

export interface PredecessorFacts {
  readonly name: string;
  /** How long these very artifacts have run there, added up, in milliseconds; null when they never did. */
  readonly ranMs: number | null;
  readonly runsNow: boolean;
}

export interface AnswerFacts {
  readonly service: string;
  /**
   * How its question stands to the one of the protected branch: `same` also where that does not matter, in a preview and for
   * a commit that was the head of that branch.
   */
  readonly asked: 'same' | 'otherwise' | 'only-here' | 'only-there';
  /** Of one that is asked otherwise: the parts of the definition, such as `run`. */
  readonly differs: readonly string[];
  /** What the release's own answers are filed under; null where it asks nothing. */
  readonly question: string | null;
  /** The latest answer to the release's own question; null while it has none. */
  readonly latest: {
    readonly evidence: string;
    readonly verdict: CheckVerdict;
    readonly at: number;
    readonly summary: string;
    /** When what it rests upon counts no more. */
    readonly untilMs?: number;
  } | null;
}

/** What services that would run beside each other expect of each other. */
export interface ContractFacts {
  /** The checks that write down what services expect. */
  readonly written: readonly NamedAnswer[];
  readonly pairs: readonly PairFacts[];
}

export interface NamedAnswer extends AnswerFacts {
  readonly check: string;
  /** The release with the service, where that runs there already; null for what is part of the release in question. */
  readonly there: string | null;
}

/** One service that expects something of another; at least one of both is part of the release. */
export interface PairFacts {
  readonly consumer: string;
  readonly provider: string;
  /** The digest of the pact. */
  readonly pact: string;
  /** The release with the consumer, where that runs there already. */
  readonly consumerThere: string | null;
  /** Each check that holds the provider to it; null where no such service would run. */
  readonly verified: readonly NamedAnswer[] | null;
}

export interface ApprovalFacts {
  readonly by: string;
  readonly verdict: 'approved' | 'rejected';
  readonly at: number;
  readonly comment: string | null;
  /** It was given for what the release would run under now. */
  readonly forThis: boolean;
}

export type UnchangedFacts =
  | { readonly kind: 'same' }
  /** The branch has not been taken in yet: it may still turn out to have had these artifacts. */
  | { readonly kind: 'unknown'; readonly what: string }
  | { readonly kind: 'differs'; readonly what: string; readonly fix: string };
