import { afterAll, beforeAll, expect, test } from 'vitest';

import { createWorld, type World } from './testing/world.ts';

const config = (freeze = '2020-01-01T00:00:00Z') => `
services:
  web: { path: services/web, build: text }
  api: { path: services/api, build: text }
roles: { managers: [bob, eve] }
environments:
  preview: { on: { branch: 'feature/*' }, ephemeral: { ttl: 1d }, accepts: any, deploy: stage, settle: 0ms }
  qa: { on: { merge: main }, gates: [unchanged], deploy: stage, settle: 0ms }
  soaked: { on: manual, from: qa, gates: [{ soak: 2s }], deploy: stage, settle: 0ms }
  frozen: { on: manual, gates: [{ freeze: [{ from: 2019-01-01T00:00:00Z, until: ${freeze}, reason: a fair }] }], deploy: stage, settle: 0ms }
  signed: { on: manual, gates: [{ approvals: { of: managers, count: 2, expires: 1h } }], deploy: stage, settle: 0ms }
`;

let world: World;
let first: string;

beforeAll(async () => {
  world = await createWorld('gated', config(), { says: { web: 'hello', api: 'sums' } });
  first = await world.git('rev-parse', 'main');
  await world.live('qa', first);
}, 120_000);

afterAll(() => world.end());

test('two of a role have to agree, each has one voice, and who is not of the role has none', async () => {
  const { id } = await world.request('signed', first);
  await world.reaches(id, 'waiting');
  for (const by of ['bob', 'bob', 'mallory']) await world.useCases.promotions.approve(id, undefined, by);
  const heard = await world.says(id, 'mallory is not of managers');
  expect(heard.headline).toContain('waits for 1 more approval of managers (so far: bob)');
  await world.useCases.promotions.approve(id, 'fine', 'eve');
  await world.reaches(id, 'live');
});

test('one rejection of the role ends it, with its comment', async () => {
  const { id } = await world.request('signed', first);
  await world.useCases.promotions.approve(id, undefined, 'bob');
  await world.useCases.promotions.reject(id, 'not today', 'eve');
  expect((await world.reaches(id, 'refused')).headline).toBe('eve rejected it: not today.');
});

test('an approval that has expired does not count any more, and the wait ends when one will', async () => {
  const { id } = await world.request('signed', first);
  await world.useCases.promotions.approve(id, undefined, 'bob');
  await world.says(id, 'so far: bob');
  const { db } = world.house.store;
  const { wake_at: wakeAt } = await db
    .selectFrom('promotion')
    .select('wake_at')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  const { at } = await db.selectFrom('approval').select('at').where('promotion_id', '=', id).executeTakeFirstOrThrow();
  expect((wakeAt?.getTime() ?? 0) - at.getTime()).toBe(3_600_000);
  await db
    .updateTable('approval')
    .set({ at: new Date(at.getTime() - 3_600_000) })
    .where('promotion_id', '=', id)
    .execute();
  await world.useCases.promotions.approve(id, undefined, 'eve');
  await world.says(id, 'waits for 1 more approval of managers (so far: eve)');
  await world.useCases.promotions.approve(id, undefined, 'bob');
  await world.reaches(id, 'live');
});

test('an approval is given for the configuration that is there, and asked for again when that is another', async () => {
  const { id } = await world.request('signed', first);
  await world.useCases.promotions.approve(id, undefined, 'bob');
  await world.says(id, 'so far: bob');
  const changed = config().replace('count: 2, expires: 1h } }]', '$&, config: { GREETING: hello }');
  await world.push({ files: { 'towpath.yaml': `project: gated\n${changed}` } });
  await world.says(id, 'bob approved it for another configuration of signed than it has now');
  for (const by of ['bob', 'eve']) await world.useCases.promotions.approve(id, undefined, by);
  await world.reaches(id, 'live');
});

test('a soak is waited out by itself, and time counts that other commits brought', async () => {
  const docs = await world.push({ branch: 'feature/docs', from: 'main', files: { 'README.md': 'More.\n' } });
  await world.git('update-ref', 'refs/heads/main', docs);
  await world.poll();
  await world.live('qa', docs);
  const { id } = await world.request('soaked', docs);
  const live = await world.reaches(id, 'live');
  const { db } = world.house.store;
  const began = await db.selectFrom('tenure').select('began_at').orderBy('began_at').executeTakeFirstOrThrow();
  expect(Date.parse(live.endedAt ?? '') - began.began_at.getTime()).toBeGreaterThanOrEqual(2000);
  const never = await world.push({ branch: 'feature/unsoaked', from: 'main', says: { web: 'unsoaked' } });
  await world.live('feature/unsoaked', never);
  const refused = await world.reaches((await world.request('soaked', never)).id, 'refused');
  expect(refused.reasons.map(({ gate }) => gate)).toEqual(['from']);
});

test('what is frozen says until when, and thaws by itself at that instant', async () => {
  const path = (until: string) => ({ 'towpath.yaml': `project: gated\n${config(until)}` });
  const commit = await world.push({ files: path('2100-01-01T00:00:00Z') });
  await world.live('qa', commit);
  const { id } = await world.request('frozen', commit);
  const waiting = await world.reaches(id, 'waiting');
  expect(waiting.reasons).toMatchObject([{ gate: 'freeze', until: '2100-01-01T00:00:00.000Z' }]);
  expect(waiting.headline).toContain('(a fair)');
  const thaw = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3000).toISOString();
  await world.push({ files: path(thaw.replace('.000', '')) });
  const live = await world.reaches(id, 'live');
  expect(Date.parse(live.endedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(thaw));
});

test('a merge of a branch that was up to date, and a fast-forward to a merge, give what was tested', async () => {
  const head = await world.push({ branch: 'feature/blue', from: 'main', says: { web: 'blue' } });
  await world.live('feature/blue', head);
  const merged = await world.push({ merge: 'feature/blue', says: { web: 'blue' } });
  await world.live('qa', merged);
  await world.push({ branch: 'feature/green', from: 'main', says: { web: 'green' } });
  const inner = await world.push({
    branch: 'feature/outer',
    from: 'main',
    merge: 'feature/green',
    says: { web: 'green' },
  });
  await world.live('feature/outer', inner);
  await world.git('update-ref', 'refs/heads/main', inner);
  await world.poll();
  await world.live('qa', inner);
});

test('a branch and its merge that are seen at the same moment pass as if one had come after the other', async () => {
  const text = { says: { web: 'both at once' } };
  await world.commit({ branch: 'feature/both', from: 'main', ...text });
  await world.live('qa', await world.push({ merge: 'feature/both', ...text }));
});

test('a merge of a branch that lagged behind is refused, and names the commits and paths that it lacked', async () => {
  const red = { web: 'red' };
  const lagging = await world.push({ branch: 'feature/red', from: 'main', says: red });
  await world.live('feature/red', lagging);
  const style = { 'services/web/style': 'bold' };
  await world.push({ branch: 'feature/bold', from: 'main', files: style, message: 'Be bold' });
  const bold = await world.push({ merge: 'feature/bold', files: style, message: 'Merge bold' });
  await world.live('qa', bold);
  const merged = await world.push({ merge: 'feature/red', says: red, message: 'Merge red' });
  const [reason] = (await world.promotion('qa', merged, 'refused')).reasons;
  expect(reason?.gate).toBe('unchanged');
  expect(reason?.what).toMatch(/web: .*style/);
  expect(reason?.what).toContain(`The branch lacked ${bold.slice(0, 7)} Merge bold`);
  expect(reason?.what).toContain('Be bold');
});

test('a direct push is refused, and so is a commit on top of it that changes docs alone', async () => {
  const direct = await world.push({ says: { api: 'differently' } });
  expect((await world.promotion('qa', direct, 'refused')).headline).toContain('that no branch had before');
  const docs = await world.push({ files: { 'README.md': 'Read this.\n' } });
  expect((await world.promotion('qa', docs, 'refused')).headline).toContain('that no branch had before');
});
