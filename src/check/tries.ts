import { keptOfTries } from './kept-files.ts';
import type { CheckAnswer } from './kind.ts';

/**
 * What several tries say together. One that passed ends them, and is flaky if others did not. Else a failure counts for
 * more than what could not be answered, whichever came last.
 * @param tries at least one, in their order
 */
export function answerOfTries(tries: readonly CheckAnswer[]): CheckAnswer {
  const last = tries.at(-1) ?? { verdict: 'error', summary: 'it was not asked' };
  const answer = last.verdict === 'error' ? (tries.findLast(({ verdict }) => verdict === 'failed') ?? last) : last;
  const earlier = tries.flatMap((one) =>
    one === answer || one.verdict === 'passed' ? [] : [{ verdict: one.verdict, summary: one.summary }],
  );
  if (earlier.length === 0) return answer;
  const words =
    answer.verdict === 'passed'
      ? `flaky, passed at try ${tries.length}: ${answer.summary}`
      : `${answer.summary} (${tries.length} tries)`;
  const kept = keptOfTries(tries.map((one) => one.kept));
  return { ...answer, summary: words, earlier, ...(kept === undefined ? {} : { kept }) };
}

/** It passed only when it was tried again: the whole of it, or some of its tests by their own tool. */
export function isFlaky({ verdict, earlier, tests }: CheckAnswer): boolean {
  return verdict === 'passed' && (earlier !== undefined || (tests?.flaky ?? 0) > 0);
}
