import { type Reading, readingOf, ReportFault, shorten, type TestCounts } from './report.ts';
import { type Attributes, readXml } from './xml.ts';

const SHOWN_FAILURES = 50;
const LONGEST_NAME = 300;
const LONGEST_MESSAGE = 500;
/** What tools write for a message when they have none: gotestsum puts all that was said into the body. */
const SAYS_NOTHING = new Set(['', 'Failed']);

/**
 * Reads a JUnit XML report, as node:test, vitest, jest, mocha, pytest, Surefire, gotestsum, Playwright and others write it:
 * test cases are counted one by one, for the totals that tools write in attributes differ in meaning. Surefire says which
 * passed only when they were run again.
 */
export function parseJunit(text: string): Promise<Reading<TestCounts>> {
  return readingOf(text, async () => {
    const counts = { passed: 0, failed: 0, skipped: 0, flaky: 0, failures: [] as { name: string; message: string }[] };
    const suites: Suite[] = [];
    let hasRoot = false;
    let test: Test | null = null;
    let problem: Problem | null = null;
    const tellFailure = (name: string, { message, text: body }: Problem): void => {
      counts.failed++;
      if (counts.failures.length < SHOWN_FAILURES)
        counts.failures.push({
          name,
          message: shorten(SAYS_NOTHING.has(message) ? body.trim() : message, LONGEST_MESSAGE),
        });
    };
    await readXml(text, {
      open(name, attributes, above) {
        const parent = above.at(-1);
        if (name === 'testsuites' && parent === undefined) hasRoot = true;
        else if (name === 'testsuite' && test === null) {
          hasRoot = true;
          suites.push({ name: joined(suites, attributes), problem: null });
        } else if (name === 'testcase' && test === null)
          test = { name: joined(suites, attributes), problem: null, isSkipped: false, isFlaky: false };
        else if (name === 'skipped' && parent === 'testcase' && test !== null) test.isSkipped = true;
        else if ((name === 'flakyFailure' || name === 'flakyError') && parent === 'testcase' && test !== null)
          test.isFlaky = true;
        else if ((name === 'failure' || name === 'error') && (parent === 'testcase' || parent === 'testsuite')) {
          problem = { message: attributes['message'] ?? '', text: '' };
          const failed = test ?? suites.at(-1);
          if (failed !== undefined) failed.problem ??= problem;
        }
      },
      text(piece) {
        if (problem !== null && problem.text.length < LONGEST_MESSAGE * 2)
          problem.text += piece.slice(0, LONGEST_MESSAGE * 2);
      },
      close(name) {
        if (name === 'failure' || name === 'error') problem = null;
        else if (name === 'testcase' && test !== null) {
          if (test.problem !== null) tellFailure(test.name, test.problem);
          else {
            counts[test.isSkipped ? 'skipped' : 'passed']++;
            if (test.isFlaky && !test.isSkipped) counts.flaky++;
          }
          test = null;
        } else if (name === 'testsuite' && test === null) {
          const suite = suites.pop();
          // a suite can fail by itself, in its set-up: that is a failure too
          if (suite !== undefined && suite.problem !== null) tellFailure(suite.name, suite.problem);
        }
      },
    });
    if (!hasRoot) throw new ReportFault('has no test suite');
    const { flaky, ...rest } = counts;
    return flaky === 0 ? rest : counts;
  });
}

interface Problem {
  readonly message: string;
  text: string;
}

interface Suite {
  readonly name: string;
  problem: Problem | null;
}

interface Test extends Suite {
  isSkipped: boolean;
  isFlaky: boolean;
}

function joined(suites: readonly Suite[], attributes: Attributes): string {
  const here = suites.at(-1)?.name ?? '';
  const name = attributes['name'] ?? '';
  return shorten(here === '' || name === '' ? `${here}${name}` : `${here} > ${name}`, LONGEST_NAME);
}
