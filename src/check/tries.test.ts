import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import type { CheckAnswer } from './kind.ts';
import { answerOfTries, isFlaky } from './tries.ts';

const answer = (verdict: CheckAnswer['verdict'], summary: string = verdict): CheckAnswer => ({ verdict, summary });

test('one try says what it says', () => {
  for (const verdict of ['passed', 'failed', 'error'] as const)
    expect(answerOfTries([answer(verdict)])).toEqual(answer(verdict));
});

test('a pass after a failure is flaky, and tells what failed', () => {
  const found = answerOfTries([
    answer('failed', 'exit code 1'),
    answer('error', 'too slow'),
    answer('passed', '3 passed'),
  ]);
  expect(found).toEqual({
    verdict: 'passed',
    summary: 'flaky, passed at try 3: 3 passed',
    earlier: [
      { verdict: 'failed', summary: 'exit code 1' },
      { verdict: 'error', summary: 'too slow' },
    ],
  });
  expect(isFlaky(found)).toBe(true);
  expect(isFlaky(answer('passed'))).toBe(false);
  const tests = { passed: 3, failed: 0, skipped: 0, flaky: 1, failures: [] };
  expect(isFlaky({ ...answer('passed'), tests })).toBe(true);
  expect(isFlaky({ ...answer('failed'), tests })).toBe(false);
});

test('a failure is not covered by a later try that could not be answered', () => {
  expect(answerOfTries([answer('failed', 'exit code 1'), answer('error', 'too slow')])).toEqual({
    verdict: 'failed',
    summary: 'exit code 1 (2 tries)',
    earlier: [{ verdict: 'error', summary: 'too slow' }],
  });
});

const anyTries = fc
  .array(fc.constantFrom('failed', 'error'), { maxLength: 5 })
  .chain((before) => fc.constantFrom('passed', 'failed', 'error').map((last) => [...before, last]));

test('it passes exactly when the last try did, and no try that did not is hidden', () => {
  fc.assert(
    fc.property(anyTries, (verdicts) => {
      const tries = verdicts.map((verdict, at) => answer(verdict, `try ${at}`));
      const found = answerOfTries(tries);
      expect(found.verdict === 'passed').toBe(verdicts.at(-1) === 'passed');
      expect(found.verdict === 'error').toBe(verdicts.every((verdict) => verdict === 'error'));
      expect([...(found.earlier ?? []), found]).toHaveLength(tries.length);
      expect(isFlaky(found)).toBe(verdicts.at(-1) === 'passed' && tries.length > 1);
    }),
    cases(100),
  );
});
