import { pino } from 'pino';
import { expect, test } from 'vitest';

import { endPreview, ensurePreview } from '../../environment/environment-store.ts';
import { testStore } from '../../store/testing.ts';
import type { WorkflowState } from '../engine/state.ts';
import { reconcile } from './lost-work.ts';

const NOW = Date.UTC(2030, 0, 1);
const SPAN = NOW / 300_000;

test('a preview whose removal was given up is removed again, once in a while, and one bad preview stops no other', async () => {
  const store = await testStore();
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  const [bad, lost, underWay, tried] = await Promise.all(
    ['bad', 'lost', 'under-way', 'tried'].map(async (branch) => {
      const preview = { projectId: 'p', template: 'preview', branch, position: 0, definition: {} };
      const id = await ensurePreview(store.db, { ...preview, expiresAt: new Date(NOW) });
      await endPreview(store.db, id);
      return id;
    }),
  );
  const states: Record<string, WorkflowState> = {
    [`remove:${lost}`]: { kind: 'failed', problem: { code: 'lane.taken', what: '', fix: '' } },
    [`remove:${underWay}`]: { kind: 'queued' },
    [`remove:${tried}`]: { kind: 'cancelled' },
    [`remove:${tried}:${SPAN - 1}`]: { kind: 'running', executorId: 'x' },
  };
  const started: unknown[] = [];
  const engine = {
    state: async (id: string) => {
      if (id === `remove:${bad}`) throw new Error('its row is damaged');
      return states[id] ?? ({ kind: 'missing' } as const);
    },
  };
  const starts = { removePreview: async (_tx: unknown, id: string, again?: number) => void started.push([id, again]) };
  await reconcile({ store, starts, clock: { now: () => NOW }, log: pino({ level: 'silent' }) }, engine);
  expect(started).toEqual([[lost, SPAN]]);
});
