import { z } from 'zod';

import type { BaseView, RefreshView } from '../../flow/view/base.ts';
import { Problem } from './problem.ts';
import { DigestText, Instant, listOf, view } from './view.ts';

export const Base = view<BaseView>()('Base', {
  reference: z.string(),
  digest: DigestText,
  by: z.string(),
  since: Instant,
  askedAt: Instant,
  services: listOf(z.string()),
});

const PinMove = view<RefreshView['moves'][number]>()('PinMove', {
  reference: z.string(),
  before: DigestText,
  after: DigestText,
  services: listOf(z.string()),
});

export const Refresh = view<RefreshView>()('Refresh', {
  dryRun: z.boolean(),
  moves: listOf(PinMove),
  same: listOf(z.string()),
  failed: listOf(z.object({ reference: z.string(), problem: Problem })),
});
