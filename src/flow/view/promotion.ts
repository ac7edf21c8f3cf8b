import type { DiffView } from './path.ts';
import type { ReleaseBrief } from './release.ts';
import type { PromotionState } from '../../path/promotion.ts';

export type PromoteAnswer =
  | { readonly kind: 'started'; readonly promotion: PromotionView }
  | {
      readonly kind: 'would';
      readonly verdict: 'go' | 'wait' | 'refuse';
      readonly reasons: readonly ReasonView[];
      readonly diff: DiffView;
    };

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
  /** The gates that it waits for, or that refused it. */
  readonly gates: readonly string[];
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
