import { z } from 'zod';

import { Name, Wait } from '../../../lib/fields.ts';
import type { Baseline, CheckVerdict, Performance } from '../../kind.ts';
import { type Measure, type Measures, TIMES } from '../../report/measures.ts';

const Most = z.number().min(0).max(10_000);

/** One field for each time that is measured. */
function forEachTime<Field extends z.ZodType>(field: (time: (typeof TIMES)[number]) => Field) {
  return Object.fromEntries(TIMES.map((time) => [time, field(time)])) as Record<(typeof TIMES)[number], Field>;
}

/** What is wished of a load test, beside the file that it writes. */
export const performanceFields = {
  max: z
    .strictObject({
      ...forEachTime((time) => Wait.optional().describe(`The longest ${time} of an answer`)),
      errors: z.number().min(0).max(100).optional().describe('Per cent of the requests that may fail'),
    })
    .default({})
    .describe('What is too slow'),
  min: z
    .strictObject({
      rps: z.number().positive().optional().describe('Answers a second'),
      requests: z.int().positive().optional().describe('How many requests are needed for a verdict'),
    })
    .default({})
    .describe('What is too little'),
  baseline: z
    .strictObject({
      environment: Name.describe('What runs there is what is compared with'),
      slower: z
        .strictObject({
          ...forEachTime(() => Most.optional().describe('Per cent by which it may be slower')),
          rps: z.number().min(0).max(100).optional().describe('Per cent by which there may be fewer'),
        })
        .refine((slower) => Object.keys(slower).length > 0, 'at least one measure, such as `p90: 10`')
        .describe('How much slower it may be than that'),
      without: z.enum(['pass', 'fail']).default('pass').describe('What it is where nothing was measured there (pass)'),
    })
    .optional()
    .describe('Compares with what runs now'),
};

type Wish = z.output<z.ZodObject<typeof performanceFields>>;

interface Judgement {
  readonly verdict: CheckVerdict;
  readonly words: string;
  readonly told: { readonly performance: Performance };
}

/** @param load the identity of what was done to measure, so that other loads are not compared */
export function sayPerformance(
  measures: Measures,
  wish: Wish,
  { baseline, load }: { readonly baseline: Baseline | null; readonly load: string },
): Judgement {
  const told = { performance: { measures, load } };
  const compared = wish.baseline === undefined ? null : compare(measures, wish.baseline, baseline);
  const needed = [...namesOf(wish.max), ...namesOf(wish.min), ...namesOf(wish.baseline?.slower ?? {})];
  const untold = needed.find((name) => measures[name] === undefined);
  if (untold !== undefined) return { verdict: 'error', words: `its load test does not tell ${untold}`, told };
  const few = wish.min.requests !== undefined && (measures.requests ?? 0) < wish.min.requests;
  const wrong = [
    ...namesOf(wish.max).flatMap((name) => beyond(name, measures[name], wish.max[name as keyof Wish['max']], 'most')),
    ...(few ? [] : beyond('rps', measures.rps, wish.min.rps, 'least')),
    ...(compared?.wrong ?? []),
  ];
  const shown = (['p50', 'p90', 'p95', 'p99', 'rps', 'errors'] as const).flatMap((name) =>
    measures[name] === undefined ? [] : [spoken(name, measures[name])],
  );
  const words = [shown.join(', '), ...wrong, ...(compared?.notes ?? [])].join('; ');
  if (few)
    return {
      verdict: 'error',
      words: `${measures.requests ?? 0} requests say nothing, ${wish.min.requests} are wanted: ${words}`,
      told,
    };
  return { verdict: wrong.length > 0 ? 'failed' : 'passed', words, told };
}

/** Of the baseline; it says so where there is none, and the wish says what that means. */
function compare(
  measures: Measures,
  { environment, slower, without }: NonNullable<Wish['baseline']>,
  baseline: Baseline | null,
): { readonly wrong: readonly string[]; readonly notes: readonly string[] } {
  if (baseline === null) {
    const none = `no baseline yet: what runs in ${environment} was not measured so`;
    return without === 'fail' ? { wrong: [none], notes: [] } : { wrong: [], notes: [none] };
  }
  const pairs = namesOf(slower).map((name) => {
    const [now, before, most] = [
      measures[name] ?? 0,
      baseline.measures[name],
      slower[name as keyof typeof slower] ?? 0,
    ];
    return { name, now, before, most };
  });
  const untold = pairs.filter(({ before }) => before === undefined).map(({ name }) => name);
  const wrong = pairs.flatMap(({ name, now, before, most }) => {
    if (before === undefined) return [];
    const isWorse = name === 'rps' ? now < before * (1 - most / 100) : now > before * (1 + most / 100);
    const change = before === 0 ? '' : `${rounded((Math.abs(now - before) * 100) / before)} % `;
    const how = name === 'rps' ? 'fewer' : 'slower';
    return isWorse
      ? [`${name} is ${change}${how} than in ${environment} (${spoken(name, before)}), at most ${most} % are wanted`]
      : [];
  });
  const notes = untold.map((name) => `no baseline yet for ${name} in ${environment}`);
  return without === 'fail' ? { wrong: [...wrong, ...notes], notes: [] } : { wrong, notes };
}

function beyond(name: Measure, found = 0, limit: number | undefined, which: 'most' | 'least'): string[] {
  if (limit === undefined || (which === 'most' ? found <= limit : found >= limit)) return [];
  return [`${spoken(name, found)}, at ${which} ${spoken(name, limit)} wanted`];
}

function spoken(name: Measure, amount: number): string {
  if (name === 'rps') return `${rounded(amount)} requests/s`;
  return name === 'errors' ? `${rounded(amount)} % errors` : `${name} ${rounded(amount)} ms`;
}

/** Three digits are what such a measurement is good for. */
function rounded(amount: number): number {
  return amount >= 100 ? Math.round(amount) : Number(amount.toPrecision(3));
}

function namesOf(wish: Readonly<Record<string, unknown>>): Measure[] {
  return Object.keys(wish).filter((name) => wish[name] !== undefined && name !== 'requests') as Measure[];
}
