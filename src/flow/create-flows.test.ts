import { expect, test } from 'vitest';

import { testStore } from '../store/testing.ts';
import { createStarts } from './create-flows.ts';
import type { Engine } from './engine/engine.ts';

test('what an answer about contracts opens is asked at once, though whoever brought that answer has not ended yet', async () => {
  const store = await testStore();
  const ids: string[] = [];
  const engine = {
    state: async (id: string) => (ids.includes(id) ? { kind: 'running', executorId: 'other' } : { kind: 'missing' }),
    enqueue: async (_tx: unknown, _flow: unknown, _input: unknown, { id }: { id: string }) => {
      if (!ids.includes(id)) ids.push(id);
    },
  } as unknown as Engine;
  const starts = createStarts(
    engine,
    () => ({}) as never,
    () => new Map(),
  );
  const wish = (...questions: string[]) =>
    store.transaction((tx) => starts.check(tx, 'rel_1', { check: 'can-i-deploy', questions }, 'env_1'));
  await wish('what web expects');
  await wish('what web expects');
  expect(ids).toHaveLength(1);
  await wish('whether api keeps to it');
  expect(ids).toHaveLength(2);
});
