import { z } from 'zod';

import { Amount, jsonOf, measured, type Measures } from './measures.ts';
import { type Reading, readingOf } from './report.ts';

const Trend = z.object({
  avg: Amount.optional(),
  med: Amount.optional(),
  max: Amount.optional(),
  'p(50)': Amount.optional(),
  'p(75)': Amount.optional(),
  'p(90)': Amount.optional(),
  'p(95)': Amount.optional(),
  'p(97.5)': Amount.optional(),
  'p(99)': Amount.optional(),
});
const Counter = z.object({ count: Amount, rate: Amount });
/** Called `value` in an export, `rate` in the data of `handleSummary`. */
const Share = z.union([
  z.object({ value: Amount }).transform(({ value }) => value),
  z.object({ rate: Amount }).transform(({ rate }) => rate),
]);

/** `handleSummary` puts the numbers of a metric under `values`. */
function flatOrUnder<Numbers>(numbers: z.ZodType<Numbers>): z.ZodType<Numbers> {
  return z.union([z.object({ values: numbers }).transform(({ values }) => values), numbers]);
}

const Summary = z.object({
  metrics: z.object({
    http_req_duration: flatOrUnder(Trend),
    http_reqs: flatOrUnder(Counter),
    http_req_failed: flatOrUnder(Share).optional(),
  }),
});

/** Reads a summary of k6: of `--summary-export`, or the data of `handleSummary` as JSON. Which percentiles are in it says the test. */
export function parseK6(text: string): Promise<Reading<Measures>> {
  return readingOf(text, async () => {
    const { metrics } = jsonOf(text, Summary, 'summary of HTTP requests by k6');
    const { http_req_duration: times, http_reqs: requests, http_req_failed: failed } = metrics;
    const found = {
      mean: times.avg,
      p50: times['p(50)'] ?? times.med,
      p75: times['p(75)'],
      p90: times['p(90)'],
      p95: times['p(95)'],
      'p97.5': times['p(97.5)'],
      p99: times['p(99)'],
      max: times.max,
      rps: requests.rate,
      errors: failed === undefined ? undefined : failed * 100,
      requests: isUnanswered(times) ? 0 : requests.count,
    };
    return measured(Object.fromEntries(Object.entries(found).filter(([, amount]) => amount !== undefined)));
  });
}

/** It counts a request that nobody took as one of no time at all: without this, a server that is away is the fastest. */
function isUnanswered(times: z.output<typeof Trend>): boolean {
  const told = Object.values(times);
  return told.length > 0 && told.every((time) => time === 0);
}
