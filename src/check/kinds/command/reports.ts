import { z } from 'zod';

import { RelativePath } from '../../../lib/fields.ts';
import type { CheckAnswer, CheckVerdict } from '../../kind.ts';
import { parseCobertura } from '../../report/cobertura.ts';
import { parseJunit } from '../../report/junit.ts';
import { parseLcov } from '../../report/lcov.ts';
import type { Coverage, Reading, TestCounts } from '../../report/report.ts';
import { type Findings, type Level, LEVELS, parseSarif } from '../../report/sarif.ts';

const File = RelativePath.refine((path) => path !== '.', 'a part of the service, not the whole').refine(
  (path) => path.includes('/'),
  'a file in a folder, such as reports/junit.xml',
);
const Most = z.int().nonnegative();

/** The reports that a command may have to write; their folders are made and can be written to. */
export const reportFields = {
  junit: File.optional().describe('The JUnit report that it writes'),
  coverage: z
    .strictObject({
      lcov: File.optional().describe('The LCOV file that it writes'),
      cobertura: File.optional().describe('The Cobertura report that it writes'),
      min: z.number().min(0).max(100).default(0).describe('Per cent of the lines that must have run (0)'),
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
};

type Definition = z.output<z.ZodObject<typeof reportFields>>;

/** What one report says about the question. */
export interface Said {
  readonly verdict: CheckVerdict;
  /** For a summary; for an error a phrase that follows "but". */
  readonly words: string;
  readonly told: Pick<CheckAnswer, 'tests' | 'coverage' | 'findings'>;
}

export interface WantedReport {
  readonly path: string;
  say(text: string): Promise<Said>;
  /** What it is when it cannot be read. @param wrong follows its name: "is not there" */
  unread(wrong: string): Said;
}

export function reportsOf({ junit, coverage, sarif }: Definition): readonly WantedReport[] {
  return [
    ...(junit === undefined ? [] : [wanted('JUnit report', junit, parseJunit, sayTests)]),
    ...(coverage?.lcov === undefined ? [] : [wanted('LCOV file', coverage.lcov, parseLcov, sayCoverage(coverage.min))]),
    ...(coverage?.cobertura === undefined
      ? []
      : [wanted('Cobertura report', coverage.cobertura, parseCobertura, sayCoverage(coverage.min))]),
    ...(sarif === undefined
      ? []
      : [
          wanted('SARIF log', sarif.file, parseSarif, (findings) =>
            sayFindings(findings, { error: sarif.errors, warning: sarif.warnings, note: sarif.notes }),
          ),
        ]),
  ];
}

function wanted<Report extends object>(
  name: string,
  path: string,
  parse: (text: string) => Promise<Reading<Report>>,
  say: (report: Report) => Said,
): WantedReport {
  const unread = (wrong: string): Said => ({ verdict: 'error', words: `its ${name} ${wrong}`, told: {} });
  return {
    path,
    unread,
    async say(text) {
      const report = await parse(text);
      return 'wrong' in report ? unread(report.wrong) : say(report);
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
  const words = `${tests.passed} passed, ${tests.failed} failed${failed}, ${tests.skipped} skipped`;
  if (tests.failed > 0) return { verdict: 'failed', words, told: { tests } };
  if (tests.passed === 0) return { verdict: 'error', words: `it proved nothing: ${words}`, told: { tests } };
  return { verdict: 'passed', words, told: { tests } };
}

const sayCoverage =
  (min: number) =>
  (files: Coverage): Said => {
    const hits = [...files.values()].flatMap((lines) => [...lines.values()]);
    const coverage = { covered: hits.filter((times) => times > 0).length, total: hits.length };
    const { covered, total } = coverage;
    if (total === 0)
      return { verdict: 'error', words: 'its report of coverage has no line that can run', told: { coverage } };
    const isEnough = covered * 100 >= min * total;
    // rounded down: 79.96 is not 80
    const words = `${Math.floor((covered * 1000) / total) / 10} % of ${total} lines ran${isEnough ? '' : `, ${min} % are wanted`}`;
    return { verdict: isEnough ? 'passed' : 'failed', words, told: { coverage } };
  };

function sayFindings(findings: Findings, most: Readonly<Record<Level, number | undefined>>): Said {
  const { counts, first } = findings;
  const beyond = LEVELS.filter((level) => counts[level] > (most[level] ?? Infinity));
  const words = LEVELS.map((level) => `${counts[level]} ${level}${counts[level] === 1 ? '' : 's'}`).join(', ');
  if (beyond.length === 0) return { verdict: 'passed', words, told: { findings } };
  const named = first.filter(({ level }) => beyond.includes(level)).slice(0, NAMED);
  const spoken = named.map(({ rule, where }) => clip(where === '' ? rule : `${rule} in ${where}`)).join(', ');
  return { verdict: 'failed', words: `${words} (${spoken})`, told: { findings } };
}

function clip(name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME)}...`;
}
