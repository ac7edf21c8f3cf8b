import { describe, expect, test } from 'vitest';

import { testStore } from '../store/testing.ts';
import { storedAnswers } from './answer-store.ts';
import type { AnswerKeeper } from './idempotency.ts';
import { memoryAnswers } from './testing/memory-answers.ts';

const KEEPERS: Record<string, () => Promise<AnswerKeeper>> = {
  'in memory': async () => memoryAnswers(),
  'in the store': async () => storedAnswers((await testStore()).db),
};

describe.each(Object.entries(KEEPERS))('answers kept %s', (_where, keeperOf) => {
  test('of many who ask at once under one key, one is new and the others wait', async () => {
    const keeper = await keeperOf();
    const claims = await Promise.all(Array.from({ length: 8 }, () => keeper.claim('k', 'q')));
    expect(claims.filter(({ kind }) => kind === 'new')).toHaveLength(1);
    expect(claims.filter(({ kind }) => kind === 'running')).toHaveLength(7);
  });

  test('a kept answer is given again, a dropped one may be asked anew', async () => {
    const keeper = await keeperOf();
    await keeper.claim('k', 'q');
    await keeper.keep('k', { status: 201, body: '{"a":1}' });
    expect(await keeper.claim('k', 'q')).toEqual({ kind: 'done', answer: { status: 201, body: '{"a":1}' } });
    expect(await keeper.claim('k', 'other')).toEqual({ kind: 'other-question' });
    await keeper.claim('l', 'q');
    await keeper.drop('l');
    expect(await keeper.claim('l', 'q')).toEqual({ kind: 'new' });
  });
});

test('a question whose server was killed may be asked again once its time is over', async () => {
  const keeper = storedAnswers((await testStore()).db, { answeringMs: -1 });
  expect(await keeper.claim('k', 'q')).toEqual({ kind: 'new' });
  expect(await keeper.claim('k', 'q')).toEqual({ kind: 'new' });
});
