import { z } from 'zod';

import { ReportFault, shorten } from './report.ts';

/** What load tests measure, as far as a tool tells it: times in ms, errors in per cent of the requests, requests a second. */
export const TIMES = ['mean', 'p50', 'p75', 'p90', 'p95', 'p97.5', 'p99', 'max'] as const;
export const MEASURES = [...TIMES, 'rps', 'errors', 'requests'] as const;
export type Measure = (typeof MEASURES)[number];
export type Measures = Readonly<Partial<Record<Measure, number>>>;

/** A number that something was measured by. */
export const Amount = z.number().nonnegative();

/** @throws ReportFault */
export function jsonOf<T>(text: string, schema: z.ZodType<T>, what: string): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ReportFault('is not JSON');
  }
  const found = schema.safeParse(json);
  if (found.success) return found.data;
  const [issue] = found.error.issues;
  throw new ReportFault(`is no ${what} (${shorten(`${issue?.path.join('.')}: ${issue?.message}`, 120)})`);
}

/** Nothing was measured where nothing was answered. @throws ReportFault */
export function measured(measures: Measures): Measures {
  if ((measures.requests ?? 0) > 0) return measures;
  throw new ReportFault('has no request that was answered');
}

export function perCent(part: number, whole: number): number {
  return whole === 0 ? 0 : (part * 100) / whole;
}
