import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { parseSarif } from './sarif.ts';

test.each([
  ['eslint', { error: 1, warning: 0, note: 0 }, { rule: 'no-eval', where: 'file:///tests/src/money.js:13' }],
  ['ruff', { error: 18, warning: 0, note: 0 }, { rule: 'INP001', where: 'file:///tests/py/money.py:1' }],
  ['bandit', { error: 1, warning: 1, note: 0 }, { rule: 'B324', where: 'py/money.py:15' }],
  ['semgrep', { error: 1, warning: 0, note: 0 }, { rule: 'no-eval', where: 'py/money.py:15' }],
])('what %s found is counted by its level, of its own or of its rule', async (tool, counts, first) => {
  const text = readFileSync(new URL(`../../../fixtures/sarif/${tool}.sarif`, import.meta.url), 'utf8');
  expect(await parseSarif(text)).toMatchObject({
    counts,
    first: expect.arrayContaining([expect.objectContaining(first)]),
  });
});

test('what was suppressed, is gone or is no failure is not counted', async () => {
  const message = { text: 'no' };
  const accepted = [{ kind: 'inSource' }, { kind: 'external', status: 'accepted' }];
  const results = [
    { message, suppressions: accepted },
    { message, suppressions: [...accepted, { kind: 'external', status: 'underReview' }], level: 'error' },
    { message, suppressions: [], level: 'note' },
    { message, baselineState: 'absent' },
    { message, baselineState: 'new' },
    { message, kind: 'pass' },
    { message, kind: 'fail', level: 'none' },
  ];
  expect(await parseSarif(log({ results }))).toMatchObject({ counts: { error: 1, warning: 1, note: 1 } });
});

test.each([
  ['', 'is not JSON'],
  ['[]', expect.stringContaining('is not SARIF 2.1.0')],
  ['{"version":"2.0.0","runs":[]}', expect.stringContaining('is not SARIF 2.1.0 (version')],
  ['{"version":"2.1.0","runs":[]}', expect.stringContaining('is not SARIF 2.1.0 (runs')],
  [log({}), 'says that x looked for nothing'],
  [log({ results: [], invocations: [{ executionSuccessful: false }] }), 'says that x did not come to its end'],
  [log({ results: [{}] }), expect.stringContaining('runs.0.results.0.message')],
])('what proves nothing is no clean log: %.80j', async (text, wrong) => {
  expect(await parseSarif(text)).toEqual({ wrong });
});

test('no log makes the reader fail, and each result is counted at most once', async () => {
  const level = fc.option(fc.constantFrom('none', 'error', 'warning', 'note'), { nil: undefined });
  const result = fc.record({
    message: fc.oneof(fc.record({ text: fc.string() }), fc.anything()),
    level,
    ruleId: fc.option(fc.string(), { nil: undefined }),
    ruleIndex: fc.option(fc.oneof(fc.integer({ min: -1, max: 3 }), fc.double()), { nil: undefined }),
    kind: fc.option(fc.constantFrom('fail', 'pass', 'open'), { nil: undefined }),
    locations: fc.oneof(fc.constant(null), fc.json()),
  });
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.array(result, { maxLength: 6 }).map((results) => log({ results })),
  );
  await fc.assert(
    fc.asyncProperty(text, async (text) => {
      const found = await parseSarif(text);
      if ('wrong' in found) return;
      const { error, warning, note } = found.counts;
      expect(error + warning + note).toBe(found.first.length);
    }),
    cases(500),
  );
});

function log(run: object): string {
  return JSON.stringify({ version: '2.1.0', runs: [{ tool: { driver: { name: 'x' } }, ...run }] });
}
