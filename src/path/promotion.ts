import { canonicalJson } from '../lib/digest.ts';

/**
 * The states of a promotion (design section 4). Terminal states are final; every other may end in `refused`, `failed`,
 * `superseded`, `cancelled` or `rolled-back`.
 */
export const PROMOTION_STATES = [
  'requested',
  'evaluating',
  'waiting',
  'tagging',
  'deploying',
  'verifying',
  'live',
  'refused',
  'failed',
  'superseded',
  'cancelled',
  'rolled-back',
] as const;

export type PromotionState = (typeof PROMOTION_STATES)[number];

interface Standing {
  readonly state: PromotionState;
  readonly detail: PromotionDetail;
}

/** Another state, or another reason for it. The store gives the parts of a detail back in an order of its own. */
export function isNews(before: Standing, after: Standing): boolean {
  return before.state !== after.state || canonicalJson(before.detail) !== canonicalJson(after.detail);
}

/** What a wait is for, and until when at the latest it is looked at again. */
export interface Reason {
  /** The gate or the thing that says so: `approvals`, `soak`, `hold`, `yank`, a check's name. */
  readonly gate: string;
  readonly what: string;
  readonly fix?: string;
  /** Milliseconds since the epoch. */
  readonly untilMs?: number;
  /** Ids of the answers that it rests upon. */
  readonly evidence?: readonly string[];
}

/** What a state carries besides its name; kept as JSON beside it. */
export interface PromotionDetail {
  readonly reasons?: readonly Reason[];
  /** The step that failed and how. */
  readonly step?: string;
  readonly problem?: { readonly code: string; readonly what: string; readonly fix: string };
  /** The promotion, person or release that ended this one. */
  readonly by?: string;
  readonly to?: string;
  readonly note?: string;
}

const NEXT: Readonly<Record<PromotionState, readonly PromotionState[]>> = {
  requested: ['evaluating'],
  evaluating: ['waiting', 'tagging'],
  waiting: ['evaluating', 'tagging'],
  tagging: ['deploying'],
  deploying: ['verifying'],
  verifying: ['live'],
  live: [],
  refused: [],
  failed: [],
  superseded: [],
  cancelled: [],
  'rolled-back': [],
};

const ENDS: ReadonlySet<PromotionState> = new Set([
  'live',
  'refused',
  'failed',
  'superseded',
  'cancelled',
  'rolled-back',
]);

/** The states in which something may be at work on the target. */
const WORKING: ReadonlySet<PromotionState> = new Set(['tagging', 'deploying', 'verifying']);

/** Looked at before, or at this moment: whoever changes a fact about these has them looked at again. */
export const UNDECIDED = ['evaluating', 'waiting'] as const satisfies readonly PromotionState[];

export function isEnded(state: PromotionState): boolean {
  return ENDS.has(state);
}

export function isWorking(state: PromotionState): boolean {
  return WORKING.has(state);
}

export function isUndecided(state: PromotionState): boolean {
  return (UNDECIDED as readonly PromotionState[]).includes(state);
}

/**
 * Whether a promotion may go from one state to another. Staying is always allowed (a step may run twice); an ended one
 * never moves; `live` is reached only through `verifying`.
 */
export function mayMove(from: PromotionState, to: PromotionState): boolean {
  if (from === to) return true;
  if (isEnded(from)) return false;
  if (NEXT[from].includes(to)) return true;
  return isEnded(to) && to !== 'live';
}
