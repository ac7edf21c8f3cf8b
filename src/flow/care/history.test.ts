import { expect, test } from 'vitest';

import { storeContent } from '../../check/kept-store.ts';
import { json, type Store } from '../../store/database.ts';
import { lastEventId, readEvents, recordEvent } from '../../store/event-store.ts';
import { readLog, writeLog } from '../../store/log-store.ts';
import { testStore } from '../../store/testing.ts';
import { forgetEvents, forgetFiles, forgetLogs } from './history.ts';

const DAY_MS = 86_400_000;
const before = () => new Date(Date.now() - 90 * DAY_MS);

test('events go when they are old, however many, and a follower goes on after them', async () => {
  const { db, pool } = await testStore();
  await pool.query(`insert into event (at, kind, subject)
    select now() - interval '91 days', 'old', n::text from generate_series(1, 2500) n`);
  const seen = await lastEventId(db);
  await recordEvent(db, { kind: 'new', subject: 's' });
  expect(await forgetEvents(db, before())).toBe(2500);
  expect(await forgetEvents(db, before())).toBe(0);
  expect((await readEvents(db, 0)).map(({ kind }) => kind)).toEqual(['new']);
  expect((await readEvents(db, seen)).map(({ kind }) => kind)).toEqual(['new']);
});

test('logs go when they are old, but those of what runs, can be put back or is on its way', async () => {
  const store = await testStore();
  await history(store);
  const all = [
    ...[1, 2, 3, 4, 5].flatMap((n) => [`build ${n}`, `check ${n}`, `promotion ${n}`]),
    'asked of any release with the image 4',
    'nobody knows',
  ];
  for (const id of all)
    await writeLog(
      store,
      id,
      Array.from({ length: 250 }, (_, n) => `line ${n}`),
    );
  await store.db
    .updateTable('log_chunk')
    .set({ at: new Date(Date.now() - 91 * DAY_MS) })
    .execute();
  await writeLog(store, 'build 2', ['a line of today']);
  expect(await forgetLogs(store.db, before())).toBe(6 * 4);
  expect(await forgetLogs(store.db, before())).toBe(0);
  const left = await store.db.selectFrom('log_chunk').select('log_id').distinct().execute();
  expect(left.map(({ log_id: id }) => id).sort()).toEqual(
    [
      'build 2', // still young
      ...[3, 4, 5].flatMap((n) => [`build ${n}`, `check ${n}`, `promotion ${n}`]),
      'asked of any release with the image 4',
    ].sort(),
  );
  expect((await readLog(store.db, 'build 4', 0)).lines).toHaveLength(250);
});

test('files of checks go when they are old, but those of what runs, can be put back or is on its way', async () => {
  const store = await testStore();
  await history(store);
  const { db } = store;
  const digest = await storeContent(db, Buffer.from('x'));
  const all = await db.selectFrom('evidence').select('id').execute();
  await db
    .insertInto('kept_file')
    .values(all.map(({ id }) => ({ evidence_id: id, digest })))
    .execute();
  expect(await forgetFiles(db, before())).toBe(0);
  await store.pool.query(`update evidence set at = now() - interval '91 days' where id <> '1'`);
  expect(await forgetFiles(db, before())).toBe(1);
  await store.pool.query(`update evidence set at = now() - interval '91 days'`);
  expect(await forgetFiles(db, before())).toBe(1);
  const left = await db.selectFrom('kept_file').select('evidence_id').execute();
  expect(left.map(({ evidence_id: id }) => id).sort()).toEqual(['3', '4', '5', 'any']);
});

test('more old chunks than one look takes, of logs that stay, end the look all the same', async () => {
  const store = await testStore();
  await history(store);
  await store.pool.query(`insert into log_chunk (log_id, at, lines)
    select 'build 4', '2020-01-01 00:00:00.000001', '{x}' from generate_series(1, 2500) n`);
  await writeLog(store, 'nobody knows', ['x']);
  await store.db
    .updateTable('log_chunk')
    .set({ at: new Date(0) })
    .where('log_id', '=', 'nobody knows')
    .execute();
  expect(await forgetLogs(store.db, before())).toBe(2);
});

/** Releases 1 to 4 were live one after the other in an environment that keeps one besides; release 5 waits to come in. */
async function history({ db }: Store): Promise<void> {
  await db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  const repository = { id: 'r', project_id: 'p', url: 'file:///shop', default_branch: 'main' };
  await db.insertInto('repository').values(repository).execute();
  const environment = { id: 'e', project_id: 'p', name: 'prod', slug: 'prod-s', position: 0 };
  await db
    .insertInto('environment')
    .values({ ...environment, definition: json({ keep: 1 }) })
    .execute();
  for (const n of [1, 2, 3, 4, 5]) {
    const id = `${n}`;
    const shared = { project_id: 'p', service: 'web' };
    await db
      .insertInto('artifact')
      .values({
        ...shared,
        key: id,
        builder: 'node',
        inputs: json({}),
        state: 'built',
        repository: 'shop/web',
        digest: `sha256:${n}`,
        log_id: `build ${n}`,
        built_for_commit: id,
      })
      .execute();
    const release = { id, project_id: 'p', repository_id: 'r', commit_sha: id, fingerprint: id, created_by: 'Ana' };
    await db
      .insertInto('release')
      .values({ ...release, state: 'ready' })
      .execute();
    const part = { release_id: id, service: 'web', artifact_key: id, commit_sha: id };
    await db.insertInto('release_service').values(part).execute();
    const answer = {
      project_id: 'p',
      question: `q ${n}`,
      check_name: 'unit',
      verdict: 'passed',
      result: json({}),
    } as const;
    await db
      .insertInto('evidence')
      .values({ ...answer, id, release_id: id, digests: json({ web: `sha256:${n}` }), log_id: `check ${n}` })
      .execute();
    const promotion = { id, project_id: 'p', environment_id: 'e', release_id: id, log_id: `promotion ${n}` };
    const how = { kind: 'promotion', automatic: true, requested_by: 'Ana', cause: 'a push' } as const;
    await db
      .insertInto('promotion')
      .values({ ...promotion, ...how, state: n < 5 ? 'live' : 'waiting', ended_at: n < 5 ? new Date(n) : null })
      .execute();
    if (n === 5) continue;
    const tenure = { promotion_id: id, environment_id: 'e', release_id: id, began_at: new Date(n) };
    await db.insertInto('tenure').values(tenure).execute();
    await db.updateTable('environment').set({ current_release_id: id }).execute();
  }
  await db
    .insertInto('evidence')
    .values({
      id: 'any',
      project_id: 'p',
      question: 'q',
      check_name: 'scan',
      digests: json({ web: 'sha256:4' }),
      verdict: 'passed',
      result: json({}),
      log_id: 'asked of any release with the image 4',
    })
    .execute();
}
