import { z } from 'zod';

import type { BaseView, RefreshView } from '../../flow/view/base.ts';
import { Problem } from './problem.ts';
import { DigestText, Instant, listOf, view } from './view.ts';

export const Base = view<BaseView>()('Base', {
  kind: z.enum(['outside', 'service']),
  reference: z.string(),
  digest: DigestText,
  by: z.string().describe('Who moved the pin there; of a base service, the commit that it was built for'),
  since: Instant,
  askedAt: Instant.nullable(),
  services: listOf(z.string()),
  old: listOf(z.object({ environment: z.string(), service: z.string(), digest: DigestText })).describe(
    'What runs and stands upon another image of this base',
  ),
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
