import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const config = `
services:
  web: { path: services/web, build: text }
roles: { managers: [bob, eve] }
environments:
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  stage: { on: { tag: 'rc-*' }, gates: [{ approvals: { of: managers, count: 2, expires: 1h } }], deploy: stage, settle: 0ms }
  prod: { on: { tag: 'v*' }, gates: [{ approvals: { of: managers, count: 2, expires: 1h } }], deploy: stage, settle: 0ms }
`;

let world: World;
/** What qa runs when a test begins. */
let head: string;

beforeAll(async () => {
  world = await createWorld('withdrawn', config, { says: { web: 'hello' } });
}, 120_000);

afterAll(() => world.end());

let count = 0;
beforeEach(async () => {
  count += 1;
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  head = await world.push({ says: { web: `head ${count}` } });
  await world.live('qa', head);
});

test('a tag that is deleted cancels what it asked for and still waits, also where one has approved', async () => {
  const { id } = await tagged('stage', 'rc-gone');
  await world.useCases.promotions.approve(id, undefined, 'bob');
  await world.says(id, 'so far: bob');
  await untag('rc-gone');
  const cancelled = await world.reaches(id, 'cancelled');
  expect(cancelled.headline).toBe('Cancelled: The tag rc-gone was deleted.');
  expect(cancelled.reasons).toMatchObject([{ gate: 'ref', fix: expect.stringContaining('by hand') }]);
  expect(JSON.stringify(await world.useCases.why(world.project, 'stage'))).toContain('tag rc-gone was deleted');
  expect((await eventsAbout(id)).filter((kind) => kind === 'promotion.cancelled')).toHaveLength(1);
  await expect(world.useCases.promotions.approve(id, undefined, 'eve')).rejects.toMatchObject({
    code: 'promotion.ended',
  });
});

test('a tag that is moved cancels what waits for the commit before, and still names no other artifacts', async () => {
  const { id } = await tagged('stage', 'rc-moved');
  const next = await world.push({ says: { web: `moved to ${count}` } });
  await world.git('tag', '--force', 'rc-moved', next);
  await world.poll();
  const { headline } = await world.reaches(id, 'cancelled');
  expect(headline).toBe(`Cancelled: The tag rc-moved was moved to ${next.slice(0, 7)}.`);
  expect((await world.promotion('stage', next, 'refused')).reasons).toMatchObject([{ gate: 'tag' }]);
});

test('of two tags that ask for the same commit, one is enough', async () => {
  const { id } = await tagged('stage', 'rc-one');
  await tag('rc-two');
  await until(async () => {
    const row = await promotionRow(id);
    return row.refs.includes('refs/tags/rc-two') ? row : null;
  });
  await untag('rc-one');
  await taken('refs/tags/rc-one');
  expect(await world.useCases.promotions.show(id)).toMatchObject({ state: 'waiting' });
  await untag('rc-two');
  await world.reaches(id, 'cancelled');
});

test('a tag that was deleted and is pushed again at the same commit asks again', async () => {
  const { id } = await tagged('prod', 'v-again');
  await untag('v-again');
  await world.reaches(id, 'cancelled');
  await tag('v-again');
  const again = await world.promotion('prod', head, 'waiting');
  expect(again.id).not.toBe(id);
  for (const by of ['bob', 'eve']) await world.useCases.promotions.approve(again.id, undefined, by);
  await world.live('prod', head);
});

test('what a person asked for waits on, and what is at work goes on, though the tag is deleted', async () => {
  const { id } = await tagged('stage', 'rc-at-work');
  const asked = await world.request('prod', 'rc-at-work');
  await world.reaches(asked.id, 'waiting');
  world.holds.hold(`deploy head ${count}`);
  for (const by of ['bob', 'eve']) await world.useCases.promotions.approve(id, undefined, by);
  await world.holds.reached(`deploy head ${count}`);
  await untag('rc-at-work');
  await taken('refs/tags/rc-at-work');
  world.holds.release(`deploy head ${count}`);
  await world.reaches(id, 'live');
  expect(await world.useCases.promotions.show(asked.id)).toMatchObject({ state: 'waiting' });
  await world.useCases.promotions.cancel(asked.id, 'olga');
});

test('a deletion that nobody has taken in yet ends the promotion where it would have gone in', async () => {
  const { id } = await tagged('stage', 'rc-late');
  const { db } = world.house.store;
  await world.git('tag', '--delete', 'rc-late');
  // as after a kill: the poll has written it down, the work that follows is yet to come
  await db.updateTable('ref').set({ deleted_at: new Date() }).where('name', '=', 'refs/tags/rc-late').execute();
  for (const by of ['bob', 'eve']) await world.useCases.promotions.approve(id, undefined, by);
  expect((await world.reaches(id, 'cancelled')).headline).toContain('tag rc-late was deleted');
});

test('a branch that goes forward withdraws nothing; one that is rewritten withdraws what it no longer holds', async () => {
  await world.useCases.environments.hold(world.project, 'qa', 'audit', 'olga');
  const waits = await world.push({ says: { web: 'dropped later' } });
  const { id } = await world.promotion('qa', waits, 'waiting');
  await world.push({ files: { 'towpath.yaml': 'services: [' } });
  await taken('refs/heads/main');
  expect(await world.useCases.promotions.show(id)).toMatchObject({ state: 'waiting' });
  await world.git('update-ref', 'refs/heads/main', head);
  await world.poll();
  const { headline } = await world.reaches(id, 'cancelled');
  expect(headline).toBe('Cancelled: The branch main was rewritten and no longer holds it.');
});

test('a release is called by the tags that mean its commit now, and its lineage keeps those that did', async () => {
  await tagged('stage', 'rc-name');
  const names = async () => {
    const { items } = await world.useCases.releases.list(world.project, { limit: 50 });
    return items.find(({ commit }) => commit === head)?.names;
  };
  expect(await names()).toEqual(['rc-name', 'main']);
  await untag('rc-name');
  expect(await names()).toEqual(['main']);
  const { commits } = await world.useCases.lineage(world.project, head);
  expect(commits[0]?.refs).toContain('refs/tags/rc-name');
});

async function tag(name: string): Promise<void> {
  await world.git('tag', name, head);
  await world.poll();
}

/** Tags what qa runs, and waits until the promotion that follows waits for its approvals. */
async function tagged(environment: string, name: string) {
  await tag(name);
  return world.promotion(environment, head, 'waiting');
}

async function untag(name: string): Promise<void> {
  await world.git('tag', '--delete', name);
  await world.poll();
}

/** Waits until all that was seen of a ref was taken in. */
async function taken(ref: string): Promise<void> {
  const { db } = world.house.store;
  await until(async () => {
    const rows = await db.selectFrom('ref_event').select(['kind', 'handled_at']).where('ref', '=', ref).execute();
    return rows.every((row) => row.handled_at !== null) ? rows : null;
  });
}

function promotionRow(id: string) {
  const { db } = world.house.store;
  return db.selectFrom('promotion').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
}

async function eventsAbout(id: string): Promise<string[]> {
  const { db } = world.house.store;
  const rows = await db.selectFrom('event').select('kind').where('subject', '=', id).execute();
  return rows.map(({ kind }) => kind);
}
