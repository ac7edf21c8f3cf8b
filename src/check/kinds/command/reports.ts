import { z } from 'zod';

import type { ChangedLines } from '../../../git/changed-lines.ts';
import { RelativePath } from '../../../lib/fields.ts';
import type { Baseline, CheckAnswer, CheckVerdict } from '../../kind.ts';
import { parseAutocannon } from '../../report/autocannon.ts';
import { type ChangedCoverage, changedCoverage } from '../../report/changed.ts';
import { parseCobertura } from '../../report/cobertura.ts';
import { parseJunit } from '../../report/junit.ts';
import { parseK6 } from '../../report/k6.ts';
import { parseLcov } from '../../report/lcov.ts';
import { parsePlaywright } from '../../report/playwright.ts';
import type { Coverage, LineCounts, Reading, TestCounts } from '../../report/report.ts';
import { type Findings, type Level, LEVELS, parseSarif } from '../../report/sarif.ts';
import { parseWrk } from '../../report/wrk.ts';
import { performanceFields, sayPerformance } from './performance.ts';

const File = RelativePath.refine((path) => path !== '.', 'a part of the service, not the whole').refine(
  (path) => path.includes('/'),
  'a file in a folder, such as reports/junit.xml',
);
const PerCent = z.number().min(0).max(100);
const Most = z.int().nonnegative();

/** The reports that a command may have to write; their folders are made and can be written to. */
export const reportFields = {
  junit: File.optional().describe('The JUnit report that it writes'),
  playwright: File.optional().describe('The JSON report of Playwright Test that it writes'),
  coverage: z
    .strictObject({
      lcov: File.optional().describe('The LCOV file that it writes'),
      cobertura: File.optional().describe('The Cobertura report that it writes'),
      min: PerCent.default(0).describe('Per cent of the lines that must have run (0)'),
      changed: z
        .strictObject({ min: PerCent.describe('Per cent of the changed lines that must have run') })
        .optional()
        .describe('The lines that changed since the commit that a release is compared with'),
    })
    .refine(
      ({ lcov, cobertura }) => (lcov === undefined) !== (cobertura === undefined),
      'one of `lcov` and `cobertura`',
    )
    .optional()
    .describe('How much of the source ran'),
  sarif: z
    .strictObject({
      file: File.describe('The log of static analysis that it writes (SARIF 2.1.0)'),
      errors: Most.default(0).describe('How many errors it may find (0)'),
      warnings: Most.optional().describe('How many warnings it may find (any number)'),
      notes: Most.optional().describe('How many notes it may find (any number)'),
    })
    .optional()
    .describe('What static analysis found'),
  performance: z
    .strictObject({
      k6: File.optional().describe('The summary of k6 that it writes'),
      autocannon: File.optional().describe('The JSON of autocannon that it writes'),
      wrk: File.optional().describe('The file with what wrk printed'),
      ...performanceFields,
    })
    .refine(
      ({ k6, autocannon, wrk }) => [k6, autocannon, wrk].filter((file) => file !== undefined).length === 1,
      'one of `k6`, `autocannon` and `wrk`',
    )
    .optional()
    .describe('How fast it answered under load'),
};

type Definition = z.output<z.ZodObject<typeof reportFields>>;

/** What one report says about the question. */
export interface Said {
  readonly verdict: CheckVerdict;
  /** For a summary; for an error a phrase that follows "but". */
  readonly words: string;
  readonly told: Pick<CheckAnswer, 'tests' | 'coverage' | 'changed' | 'findings' | 'performance' | 'pacts'>;
}

/** What a report is read against. */
export interface Scene {
  /** Of the service, without its tests. */
  readonly files: readonly string[];
  /** Where they lie in the image. */
  readonly workdir: string;
  readonly changed: ChangedLines | undefined;
  readonly baseline: Baseline | null;
  /** What the command does to measure: its program, variables and tests, and what runs beside it. */
  readonly load: string;
}

export interface WantedReport {
  readonly path: string;
  say(text: string, scene: Scene): Promise<Said>;
  /** What it is when it cannot be read. @param wrong follows its name: "is not there" */
  unread(wrong: string): Said;
}

export function reportsOf({ junit, playwright, coverage, sarif, performance }: Definition): readonly WantedReport[] {
  return [
    ...(junit === undefined ? [] : [wanted('JUnit report', junit, parseJunit, sayTests)]),
    ...(playwright === undefined ? [] : [wanted('report of Playwright', playwright, parsePlaywright, sayTests)]),
    ...(coverage?.lcov === undefined
      ? []
      : [wanted('LCOV file', coverage.lcov, parseLcov, (report, scene) => sayCoverage(report, coverage, scene))]),
    ...(coverage?.cobertura === undefined
      ? []
      : [
          wanted('Cobertura report', coverage.cobertura, parseCobertura, (report, scene) =>
            sayCoverage(report, coverage, scene),
          ),
        ]),
    ...(sarif === undefined
      ? []
      : [
          wanted('SARIF log', sarif.file, parseSarif, (findings) =>
            sayFindings(findings, { error: sarif.errors, warning: sarif.warnings, note: sarif.notes }),
          ),
        ]),
    ...LOAD_TESTS.flatMap(({ tool, name, parse }) => {
      const file = performance?.[tool];
      if (performance === undefined || file === undefined) return [];
      return [wanted(name, file, parse, (measures, scene) => sayPerformance(measures, performance, scene))];
    }),
  ];
}

const LOAD_TESTS = [
  { tool: 'k6', name: 'summary of k6', parse: parseK6 },
  { tool: 'autocannon', name: 'result of autocannon', parse: parseAutocannon },
  { tool: 'wrk', name: 'output of wrk', parse: parseWrk },
] as const;

function wanted<Report extends object>(
  name: string,
  path: string,
  parse: (text: string) => Promise<Reading<Report>>,
  say: (report: Report, scene: Scene) => Said,
): WantedReport {
  const unread = (wrong: string): Said => ({ verdict: 'error', words: `its ${name} ${wrong}`, told: {} });
  return {
    path,
    unread,
    async say(text, scene) {
      const report = await parse(text);
      return 'wrong' in report ? unread(report.wrong) : say(report, scene);
    },
  };
}

/** How many failed tests the summary names, and how much of each name; all of them are in the log. */
const NAMED = 3;
const LONGEST_NAME = 80;

function sayTests(tests: TestCounts): Said {
  const names = tests.failures.slice(0, NAMED).map(({ name }) => clip(name));
  const more = tests.failed > names.length ? ', and more' : '';
  const failed = names.length === 0 ? '' : ` (${names.join(', ')}${more})`;
  const flaky = (tests.flaky ?? 0) > 0 ? ` (${tests.flaky} flaky)` : '';
  const words = `${tests.passed} passed${flaky}, ${tests.failed} failed${failed}, ${tests.skipped} skipped`;
  if (tests.failed > 0) return { verdict: 'failed', words, told: { tests } };
  if (tests.passed === 0) return { verdict: 'error', words: `it proved nothing: ${words}`, told: { tests } };
  return { verdict: 'passed', words, told: { tests } };
}

function sayCoverage(report: Coverage, wish: NonNullable<Definition['coverage']>, scene: Scene): Said {
  const whole = sayWhole(report, wish.min);
  if (wish.changed === undefined || whole.verdict === 'error') return whole;
  const found = changedCoverage(report, scene.changed ?? new Map(), scene);
  if (found === null)
    return { verdict: 'error', words: 'its report of coverage names no file of the service', told: whole.told };
  const part = sayChanged(found, wish.changed.min);
  return {
    verdict: whole.verdict === 'failed' ? 'failed' : part.verdict,
    words: `${whole.words}; ${part.words}`,
    told: { ...whole.told, ...part.told },
  };
}

function sayWhole(report: Coverage, min: number): Said {
  const hits = [...report.values()].flatMap((lines) => [...lines.values()]);
  const coverage = { covered: hits.filter((times) => times > 0).length, total: hits.length };
  if (coverage.total === 0)
    return { verdict: 'error', words: 'its report of coverage has no line that can run', told: { coverage } };
  return { ...sayShare(coverage, min, 'lines'), told: { coverage } };
}

function sayChanged(changed: ChangedCoverage, min: number): Said {
  const { uncovered, unreported, total } = changed;
  const share =
    total === 0
      ? { verdict: 'passed' as const, words: 'no changed line can run' }
      : sayShare(changed, min, 'changed lines');
  const missed = uncovered.length === 0 ? '' : ` (not run: ${firstOf(uncovered)})`;
  const unknown = unreported.length === 0 ? '' : `; the report does not name ${firstOf(unreported)}`;
  return { verdict: share.verdict, words: `${share.words}${missed}${unknown}`, told: { changed } };
}

function sayShare({ covered, total }: LineCounts, min: number, lines: string): Pick<Said, 'verdict' | 'words'> {
  const isEnough = covered * 100 >= min * total;
  // rounded down: 79.96 is not 80
  const words = `${Math.floor((covered * 1000) / total) / 10} % of ${total} ${lines} ran`;
  return isEnough ? { verdict: 'passed', words } : { verdict: 'failed', words: `${words}, ${min} % are wanted` };
}

function sayFindings(findings: Findings, most: Readonly<Record<Level, number | undefined>>): Said {
  const { counts, first } = findings;
  const beyond = LEVELS.filter((level) => counts[level] > (most[level] ?? Infinity));
  const words = LEVELS.map((level) => `${counts[level]} ${level}${counts[level] === 1 ? '' : 's'}`).join(', ');
  if (beyond.length === 0) return { verdict: 'passed', words, told: { findings } };
  const named = first.filter(({ level }) => beyond.includes(level)).slice(0, NAMED);
  const spoken = named.map(({ rule, where }) => clip(where === '' ? rule : `${rule} in ${where}`)).join(', ');
  return { verdict: 'failed', words: `${words} (${spoken})`, told: { findings } };
}

function firstOf(names: readonly string[]): string {
  return `${names.slice(0, NAMED).map(clip).join(', ')}${names.length > NAMED ? ' and more' : ''}`;
}

function clip(name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME)}...`;
}
