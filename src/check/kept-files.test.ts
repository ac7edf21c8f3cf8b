import { expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { KEPT, KeepPattern, keptOfTries, planKept, rootsOfKept } from './kept-files.ts';
import { answerOfTries } from './tries.ts';

test.each(['playwright-report/', 'test-results/**', 'reports/*.png', 'a/b/trace.zip', 'ä b/?.txt'])(
  '%s names what is kept',
  (pattern) => expect(KeepPattern.parse(pattern)).toBe(pattern),
);

test.each(['', '/', '.', '**', '*.png', 'report.html', '/etc/', '../up/', 'a/../../b/', './a/', 'a\\b/', 'a\n/'])(
  '%j is refused: it names no folder of the service that can be made',
  (pattern) => expect(KeepPattern.safeParse(pattern).success).toBe(false),
);

test('the folders are those before the first wildcard, and none lies in another', () => {
  expect(rootsOfKept(['shots/*.png', 'shots/**/*.webm', 'shots/deep/', 'shotsmore/a.txt', 'r/{a,b}/c'])).toEqual([
    'shots',
    'shotsmore',
    'r',
  ]);
});

test('what no pattern names is not kept, and a folder is kept with all in it', () => {
  const found = ['r/a.png', 'r/deep/b.png', 'r/c.html', 's/x/y/z'].map((path) => ({ path, size: 1 }));
  const { keep, leftOut } = planKept(['r/*.png', 's/'], found);
  expect(keep.map(({ path }) => path)).toEqual(['r/a.png', 's/x/y/z']);
  expect(leftOut).toBe(0);
});

test('too many, too large and too much is left out and counted; what is small enough is kept all the same', () => {
  const of = (count: number, size: number) =>
    Array.from({ length: count }, (_, n) => ({ path: `r/${String(n).padStart(4, '0')}`, size }));
  const plan = (found: Parameters<typeof planKept>[1]) => {
    const { keep, leftOut } = planKept(['r/'], found);
    return [keep.length, leftOut];
  };
  expect(plan(of(KEPT.files + 3, 1))).toEqual([KEPT.files, 3]);
  expect(plan([{ path: 'r/big', size: KEPT.fileBytes + 1 }, ...of(1, 1)])).toEqual([1, 1]);
  expect(plan([...of(3, KEPT.fileBytes), { path: 'r/z', size: 1 }])).toEqual([3, 1]);
  expect(plan([{ path: 'r/\u001b[2J', size: 1 }])).toEqual([0, 1]);
});

test('each try keeps what it left: the last under the names that it gave', () => {
  const digest = sha256('x');
  const kept = (path: string) => ({ files: [{ path, digest, size: 1 }], leftOut: 1 });
  const answer = answerOfTries([
    { verdict: 'failed', summary: 'no', kept: kept('r/a') },
    { verdict: 'passed', summary: 'yes', kept: kept('r/a') },
  ]);
  expect(answer.kept).toEqual({
    files: [
      { path: 'try-1/r/a', digest, size: 1 },
      { path: 'r/a', digest, size: 1 },
    ],
    leftOut: 2,
  });
  expect(keptOfTries([undefined, undefined])).toBeUndefined();
});
