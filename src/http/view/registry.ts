import { z } from 'zod';

import type { GivenUpArtifact, SweepView, SweptManifest } from '../../flow/view/registry.ts';
import { Instant, listOf, view } from './view.ts';

const Swept = view<SweptManifest>()('SweptManifest', {
  repository: z.string(),
  digest: z.string(),
  tags: listOf(z.string()),
  bytes: z.number(),
  reasons: listOf(z.string()),
});

const GivenUp = view<GivenUpArtifact>()('GivenUpArtifact', {
  project: z.string(),
  service: z.string(),
  digest: z.string(),
  release: z.number(),
  reasons: listOf(z.string()),
});

export const Sweep = view<SweepView>()('Sweep', {
  dryRun: z.boolean(),
  registry: z.string(),
  before: Instant,
  givesUp: listOf(GivenUp),
  goes: listOf(Swept),
  stays: listOf(Swept),
  removed: z.object({ files: z.number(), bytes: z.number() }).nullable(),
});
