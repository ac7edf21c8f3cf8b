import { pino } from 'pino';
import { expect, test } from 'vitest';

import { endEnvironment } from '../../environment/ending-store.ts';
import { ensurePreview } from '../../environment/environment-store.ts';
import { fixedClock } from '../../lib/clock.ts';
import { DISK_FULL } from '../../lib/disk-full.ts';
import { testStore } from '../../store/testing.ts';
import type { WorkflowState } from '../engine/state.ts';
import { reconcile } from './lost-work.ts';

const NOW = Date.UTC(2030, 0, 1);
const SPAN = NOW / 300_000;

test('a preview whose removal was given up is removed again, once in a while, and one bad preview stops no other', async () => {
  const store = await testStore();
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  const [bad, lost, underWay, tried, forgotten] = await Promise.all(
    ['bad', 'lost', 'under-way', 'tried', 'forgotten'].map(async (branch) => {
      const ref = `refs/heads/${branch}`;
      const preview = { projectId: 'p', template: 'preview', branch, ref, position: 0, definition: {} };
      const id = await ensurePreview(store.db, { ...preview, expiresAt: new Date(NOW) });
      await endEnvironment(store.db, id);
      return id;
    }),
  );
  const states: Record<string, WorkflowState> = {
    [`remove:${lost}:0`]: { kind: 'failed', problem: { code: 'lane.taken', what: '', fix: '' } },
    [`remove:${underWay}:0`]: { kind: 'queued' },
    [`remove:${tried}:0`]: { kind: 'cancelled' },
    [`remove:${tried}:0:${SPAN - 1}`]: { kind: 'running', executorId: 'x' },
  };
  const started: unknown[] = [];
  const engine = {
    state: async (id: string) => {
      if (id === `remove:${bad}:0`) throw new Error('its row is damaged');
      return states[id] ?? ({ kind: 'missing' } as const);
    },
  };
  const starts = {
    remove: async (_tx: unknown, id: string, again?: number) => void started.push([id, again]),
    ingest: never,
    promote: never,
    build: never,
    route: never,
  };
  await reconcile({ store, starts, clock: fixedClock(NOW), log: pino({ level: 'silent' }) }, engine);
  expect(started).toHaveLength(2);
  expect(started).toEqual(
    expect.arrayContaining([
      [lost, SPAN],
      [forgotten, SPAN],
    ]),
  );
});

test('a commit whose taking in was given up is taken in again, however long ago, and a build without a worker fails for all to see', async () => {
  const store = await testStore();
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  const repository = { id: 'r', project_id: 'p', url: 'https://git.example/shop', default_branch: 'main' };
  await store.db.insertInto('repository').values(repository).execute();
  const minutesAgo = { 'given-up': 1, 'at-work': 1, 'long-ago': 3 * 24 * 60 };
  for (const [id, minutes] of Object.entries(minutesAgo)) {
    const seen = new Date(Date.now() - minutes * 60_000);
    await store.db
      .insertInto('ref_event')
      .values({ id, repository_id: 'r', ref: 'refs/heads/main', kind: 'moved', seen_at: seen })
      .execute();
  }
  for (const key of ['lost', 'built-now', 'on-a-full-disk'])
    await store.db
      .insertInto('artifact')
      .values({
        key,
        project_id: 'p',
        service: 'web',
        builder: 'node',
        inputs: '{}',
        state: 'building',
        repository: 'shop/web',
        log_id: 'l',
        built_for_commit: 'c',
        requested_at: new Date(Date.now() - 60_000),
      })
      .execute();
  const failed = { kind: 'failed', problem: { code: 'git.unreachable', what: 'It was away.', fix: '' } } as const;
  const states: Record<string, WorkflowState> = {
    'ingest:given-up': failed,
    'ingest:long-ago': failed,
    'ingest:at-work': { kind: 'queued' },
    'build:lost:1': failed,
    'build:on-a-full-disk:1': { kind: 'failed', problem: DISK_FULL },
    'build:built-now:1': { kind: 'running', executorId: 'x' },
  };
  const started: unknown[] = [];
  const later: unknown[] = [];
  const starts = {
    remove: never,
    promote: never,
    build: async (_tx: unknown, ...build: unknown[]) => void later.push(build),
    route: never,
    ingest: async (_tx: unknown, id: string, again?: number) => void started.push([id, again]),
  };
  const engine = { state: async (id: string) => states[id] ?? ({ kind: 'missing' } as const) };
  await reconcile({ store, starts, clock: fixedClock(NOW), log: pino({ level: 'silent' }) }, engine);
  expect(started).toEqual([
    ['long-ago', SPAN],
    ['given-up', SPAN],
  ]);
  const rows = await store.db.selectFrom('artifact').select(['key', 'state', 'problem']).orderBy('key').execute();
  expect(rows).toEqual([
    { key: 'built-now', state: 'building', problem: null },
    { key: 'lost', state: 'failed', problem: failed.problem },
    { key: 'on-a-full-disk', state: 'building', problem: null },
  ]);
  expect(later).toEqual([['on-a-full-disk', 2, 60_000]]);
});

function never(): Promise<never> {
  throw new Error('Nothing asks for that here.');
}
