import { z } from 'zod';

import { CHECK_TYPES } from '../../check/check-type.ts';
import type {
  EvidenceDetail,
  EvidenceView,
  ReleaseBrief,
  ReleaseDetail,
  ReleaseView,
  TestView,
} from '../../flow/view/release.ts';
import { Problem } from './problem.ts';
import { DigestText, Instant, listOf, view } from './view.ts';
import { Brief, Promotion, releaseBriefShape } from './promotion.ts';

const ReleaseService = view<ReleaseView['services'][number]>()('ReleaseService', {
  service: z.string(),
  commit: z.string(),
  key: z.string(),
  state: z.enum(['building', 'built', 'failed']),
  digest: DigestText.nullable(),
  reused: z.boolean(),
  logId: z.string(),
});

const Yank = view<NonNullable<ReleaseView['yank']>>()('Yank', { reason: z.string(), by: z.string(), at: Instant });

export const Evidence = view<EvidenceView>()('Evidence', {
  id: z.string(),
  check: z.string(),
  type: z.enum(CHECK_TYPES).nullable(),
  service: z.string().nullable(),
  verdict: z.enum(['passed', 'failed', 'error']),
  flaky: z.boolean(),
  summary: z.string(),
  at: Instant,
  logId: z.string().nullable(),
  kept: z.number(),
});

export const EvidenceWithFiles = view<EvidenceDetail>()('EvidenceDetail', {
  ...Evidence.shape,
  files: listOf(z.object({ path: z.string(), size: z.number(), digest: DigestText, gone: z.boolean() })),
  leftOut: z.number(),
});

export const Test = view<TestView>()('Test', {
  id: z.string(),
  release: Brief,
  asked: listOf(z.object({ check: z.string(), service: z.string() })),
  after: z.string(),
});

const own = {
  state: z.enum(['building', 'ready', 'failed']),
  mixed: z.boolean(),
  author: z.string(),
  createdAt: Instant,
  problem: Problem.nullable(),
  yank: Yank.nullable(),
  services: listOf(ReleaseService),
} satisfies Record<Exclude<keyof ReleaseView, keyof ReleaseBrief>, z.ZodType>;

export const Release = view<ReleaseView>()('Release', { ...releaseBriefShape, ...own });

export const ReleaseWithStory = view<ReleaseDetail>()('ReleaseDetail', {
  ...releaseBriefShape,
  ...own,
  evidence: listOf(Evidence),
  promotions: listOf(Promotion),
});
