import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { startPostgres } from '../../tools/test-machine/postgres.js';
import { isTransient, requireAnswer } from '../store/database.ts';
import { createWorld, type World } from './testing/world.ts';
import type { LogBatch } from './use-cases.ts';

const config = `
services:
  web: { path: services/web, build: text }
environments:
  preview: { on: { branch: 'feature/*' }, ephemeral: { ttl: 1d }, accepts: any, deploy: stage, settle: 0ms }
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  demo: { on: manual, accepts: any, deploy: stage, settle: 0ms }
`;

let directory: string;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let world: World;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-restart-'));
  postgres = await startPostgres(directory);
  world = await createWorld('restart', config, { says: { web: 'one' }, server: postgres.address });
}, 120_000);

afterAll(async () => {
  await world?.end();
  await postgres?.stop();
  await rm(directory, { recursive: true, force: true });
});

test('Postgres crashes in the midst of a build, a deployment, a rollback and the following of a log, and all of them end as without', async () => {
  const { holds, useCases, house, project } = world;
  const first = await world.git('rev-parse', 'main');
  const second = await world.push({ says: { web: 'two' } });
  await world.live('qa', second);
  for (const commit of [first, second]) await world.reaches((await world.request('demo', commit)).id, 'live');

  for (const name of ['build branch', 'deploy three', 'deploy one']) holds.hold(name);
  const third = await world.push({ says: { web: 'three' } });
  const branch = await world.push({ branch: 'feature/x', from: 'main', says: { web: 'branch' } });
  const asked = { project, environment: 'demo', reason: 'one was better' };
  const rollback = await useCases.environments.rollback(asked, 'olga');
  for (const name of ['build branch', 'deploy three', 'deploy one']) await holds.reached(name);
  const logId = (await useCases.releases.show(project, branch)).services[0]?.logId ?? '';
  const parts = useCases.logs.follow(logId, undefined, new AbortController().signal)[Symbol.asyncIterator]();
  const begun = ((await parts.next()) as { readonly value: LogBatch }).value.lines;
  const following = linesOf({ [Symbol.asyncIterator]: () => parts });

  await postgres.crash();
  await expect(requireAnswer(house.store)).rejects.toMatchObject({ code: 'store.unreachable' });
  await expect(useCases.matrix()).rejects.toSatisfy(isTransient);
  for (const name of ['build branch', 'deploy three', 'deploy one']) holds.release(name);
  const fourth = await world.commit({ branch: 'feature/y', from: 'main', says: { web: 'unseen' } });
  await postgres.start();

  await world.live('qa', third);
  await world.live('feature/x', branch);
  if (rollback.kind === 'started') await world.reaches(rollback.promotion.id, 'live');
  await world.poll();
  await world.live('feature/y', fourth);
  expect([world.runs('qa'), world.runs('demo')]).toEqual([{ web: 'three' }, { web: 'one' }]);
  expect((await world.environment('demo')).hold?.reason).toContain('one was better');
  expect([...begun, ...(await following)]).toEqual((await useCases.logs.read(logId, undefined)).lines);
  expect((await following).filter((line) => line.startsWith('Built '))).toHaveLength(1);

  const events = await house.store.db.selectFrom('promotion_event').select(['promotion_id', 'to_state']).execute();
  const told = events.filter(({ to_state: to }) => to !== 'waiting').map((event) => Object.values(event).join(' '));
  expect(told.filter((event, place) => told.indexOf(event) !== place)).toEqual([]);
  const tenures = await house.store.db.selectFrom('tenure').select('promotion_id').execute();
  expect(new Set(tenures.map(({ promotion_id: id }) => id)).size).toBe(tenures.length);
});

async function linesOf(parts: AsyncIterable<LogBatch>): Promise<string[]> {
  const lines: string[] = [];
  for await (const part of parts) lines.push(...part.lines);
  return lines;
}
