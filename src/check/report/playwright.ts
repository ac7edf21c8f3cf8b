import { z } from 'zod';

import { jsonOf } from './measures.ts';
import { type Reading, readingOf, ReportFault, shorten, type TestCounts } from './report.ts';

const Failure = z.object({ message: z.string().default('') });
const Test = z.object({
  projectName: z.string().default(''),
  status: z.enum(['expected', 'unexpected', 'flaky', 'skipped']),
  results: z.array(z.object({ error: Failure.optional() })),
});
const Suite = z.object({
  title: z.string(),
  specs: z.array(z.object({ title: z.string(), tests: z.array(Test) })).default([]),
  suites: z.array(z.unknown()).default([]),
});
const Report = z.object({
  suites: z.array(z.unknown()),
  errors: z.array(Failure).default([]),
  stats: z.object({ expected: z.int(), unexpected: z.int(), flaky: z.int(), skipped: z.int() }),
});

const DEEPEST = 64;
const SHOWN_FAILURES = 50;
const LONGEST_NAME = 300;
const LONGEST_MESSAGE = 500;

/**
 * Reads the JSON of Playwright Test, which unlike its JUnit report says what passed only when it was tried again. What went
 * wrong outside of tests (a file that cannot be loaded) is a failure too.
 */
export function parsePlaywright(text: string): Promise<Reading<TestCounts>> {
  return readingOf(text, async () => {
    const report = jsonOf(text, Report, 'report of Playwright Test');
    const counts = { passed: 0, failed: 0, skipped: 0, flaky: 0, failures: [] as { name: string; message: string }[] };
    const tellFailure = (name: string, message: string): void => {
      counts.failed++;
      if (counts.failures.length < SHOWN_FAILURES)
        counts.failures.push({ name: shorten(name, LONGEST_NAME), message: shorten(plain(message), LONGEST_MESSAGE) });
    };
    const walk = (unread: readonly unknown[], above: readonly string[]): void => {
      if (above.length > DEEPEST) throw new ReportFault('is nested too deeply');
      for (const item of unread) {
        const suite = Suite.safeParse(item);
        if (!suite.success) throw new ReportFault('is no report of Playwright Test (suites)');
        const path = [...above, suite.data.title];
        for (const { title, tests } of suite.data.specs)
          for (const { status, projectName, results } of tests) {
            if (status === 'skipped') counts.skipped++;
            else if (status === 'unexpected') {
              const name = [...path, title].join(' > ');
              const error = results.find((result) => result.error !== undefined)?.error;
              tellFailure(projectName === '' ? name : `[${projectName}] ${name}`, error?.message ?? '');
            } else {
              counts.passed++;
              if (status === 'flaky') counts.flaky++;
            }
          }
        walk(suite.data.suites, path);
      }
    };
    walk(report.suites, []);
    const { expected, unexpected, flaky, skipped } = report.stats;
    const { passed, failed } = counts;
    if (passed !== expected + flaky || failed !== unexpected || counts.skipped !== skipped)
      throw new ReportFault('has other tests than its own totals say');
    for (const { message } of report.errors) tellFailure('outside of tests', message);
    const { flaky: tried, ...rest } = counts;
    return tried === 0 ? rest : counts;
  });
}

/** Without the colours of a terminal. */
function plain(message: string): string {
  return message.replaceAll(new RegExp(String.raw`${String.fromCodePoint(27)}\[[\d;]*m`, 'g'), '').trim();
}
