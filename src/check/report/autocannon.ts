import { z } from 'zod';

import { Amount, jsonOf, measured, type Measures, perCent } from './measures.ts';
import { type Reading, readingOf } from './report.ts';

const Result = z.object({
  errors: Amount,
  mismatches: Amount.default(0),
  non2xx: Amount,
  latency: z.object({
    mean: Amount,
    p50: Amount,
    p75: Amount,
    p90: Amount,
    p97_5: Amount,
    p99: Amount,
    max: Amount,
  }),
  requests: z.object({ average: Amount, total: Amount }),
});

/** Reads what `autocannon --json` prints. Timeouts are among its errors. */
export function parseAutocannon(text: string): Promise<Reading<Measures>> {
  return readingOf(text, async () => {
    const { errors, mismatches, non2xx, latency, requests } = jsonOf(text, Result, 'result of autocannon');
    const { p97_5: p975, ...times } = latency;
    return measured({
      ...times,
      'p97.5': p975,
      rps: requests.average,
      errors: perCent(errors + mismatches + non2xx, errors + requests.total),
      requests: requests.total,
    });
  });
}
