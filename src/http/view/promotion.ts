import { z } from 'zod';

import type { CommitView, DiffView } from '../../flow/view/path.ts';
import type { PromotionDetail, PromotionView, ReasonView } from '../../flow/view/promotion.ts';
import type { ReleaseBrief } from '../../flow/view/release.ts';
import { PROMOTION_STATES } from '../../path/promotion.ts';
import { DigestText, Instant, listOf, view } from './view.ts';

export const releaseBriefShape = {
  id: z.string(),
  number: z.number().int(),
  commit: z.string(),
  subject: z.string(),
  names: listOf(z.string()),
  yanked: z.boolean(),
} satisfies Record<keyof ReleaseBrief, z.ZodType>;

export const Brief = view<ReleaseBrief>()('ReleaseBrief', releaseBriefShape);

export const State = z.enum(PROMOTION_STATES).meta({ id: 'PromotionState' });

export const Reason = view<ReasonView>()('Reason', {
  gate: z.string(),
  what: z.string(),
  fix: z.string().nullable(),
  until: Instant.nullable(),
});

const promotionShape = {
  id: z.string(),
  number: z.number().int(),
  kind: z.enum(['promotion', 'rollback', 'removal']),
  project: z.string(),
  environment: z.string(),
  release: Brief,
  state: State,
  automatic: z.boolean(),
  requestedBy: z.string(),
  headline: z.string(),
  gates: z.array(z.string()).readonly(),
  createdAt: Instant,
  changedAt: Instant,
  endedAt: Instant.nullable(),
  logId: z.string(),
} satisfies Record<keyof PromotionView, z.ZodType>;

export const Promotion = view<PromotionView>()('Promotion', promotionShape);

const Approval = view<PromotionDetail['approvals'][number]>()('Approval', {
  by: z.string(),
  verdict: z.enum(['approved', 'rejected']),
  comment: z.string().nullable(),
  at: Instant,
});

const Step = view<PromotionDetail['events'][number]>()('PromotionStep', {
  from: State.nullable(),
  to: State,
  at: Instant,
  note: z.string(),
});

export const PromotionWithStory = view<PromotionDetail>()('PromotionDetail', {
  ...promotionShape,
  reasons: listOf(Reason),
  approvals: listOf(Approval),
  events: listOf(Step),
});

const Commit = view<CommitView>()('Commit', {
  sha: z.string(),
  author: z.string(),
  at: Instant,
  subject: z.string(),
});

const ServiceDiff = view<DiffView['services'][number]>()('ServiceDiff', {
  service: z.string(),
  from: DigestText.nullable(),
  to: DigestText.nullable(),
  same: z.boolean(),
});

export const Diff = view<DiffView>()('Diff', {
  from: z.string(),
  to: z.string(),
  services: listOf(ServiceDiff),
  commits: listOf(Commit),
  lost: listOf(Commit),
});

const Started = z.object({ kind: z.literal('started'), promotion: Promotion }).meta({ id: 'Started' });

const Would = z
  .object({
    kind: z.literal('would'),
    verdict: z.enum(['go', 'wait', 'refuse']),
    reasons: listOf(Reason),
    diff: Diff,
  })
  .meta({ id: 'Would' });

/** Started, or with `dryRun` the policy's answer. */
export const PromoteOutcome = z.discriminatedUnion('kind', [Started, Would]).meta({ id: 'PromoteAnswer' });
