import { z } from 'zod';

import type { PactPairView, PactView } from '../../flow/view/pact.ts';
import { Instant, view } from './view.ts';

export const Pact = view<PactView>()('Pact', {
  digest: z.string().describe('Of what is expected, in hex'),
  consumer: z.string(),
  provider: z.string(),
  interactions: z.int(),
  since: Instant,
});

export const PactPair = view<PactPairView>()('PactPair', {
  environment: z.string(),
  consumer: z.string(),
  provider: z.string(),
  pact: z.string().describe('The digest of the pact'),
  check: z.string().nullable(),
  verdict: z
    .enum(['passed', 'failed', 'error', 'unanswered', 'no-check', 'no-provider'])
    .describe('Of the artifacts that run there now'),
  summary: z.string().nullable(),
  evidence: z.string().nullable(),
  at: Instant.nullable(),
});
