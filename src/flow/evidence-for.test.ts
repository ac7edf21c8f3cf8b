import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const config = (run: string): string => `
services:
  web: { path: services/web, build: text, checks: { unit: { run: ${run} } } }
  api: { path: services/api, build: text, checks: { unit: { run: check the sums } } }
environments:
  preview: { on: { branch: 'feature/*' }, ephemeral: { ttl: 1d }, gates: [unit], accepts: any, deploy: stage, settle: 0ms }
  trial: { on: manual, accepts: any, gates: [unit], deploy: stage, settle: 0ms }
  recent: { on: manual, accepts: any, gates: [{ check: unit, fresh: 1h }], deploy: stage, settle: 0ms }
  tagged: { on: { tag: 'v*' }, gates: [unit], deploy: stage, settle: 0ms }
`;

const loose = (run = '["true"]') => ({ 'towpath.yaml': `project: bound\n${config(run)}` });

let world: World;

beforeAll(async () => {
  world = await createWorld('bound', config('test it well'), { says: { web: 'hello', api: 'sums' } });
}, 120_000);
beforeEach(() => {
  world.answer = () => ({ kind: 'exited', code: 0 });
});
afterAll(() => world.end());

test('what a branch asks less strictly proves something in its preview, and nothing on the path', async () => {
  const commit = await world.push({ branch: 'feature/loose', from: 'main', says: { web: 'loose' }, files: loose() });
  await world.live('feature/loose', commit);
  const short = commit.slice(0, 7);
  const refused = await world.reaches((await world.request('trial', commit)).id, 'refused');
  expect(refused.reasons).toMatchObject([
    {
      gate: 'unit',
      what: `What ${short} says of unit does not count in trial: main asks unit of web with another run.`,
      fix: expect.stringContaining('Merge the change of the check into main'),
    },
  ]);
});

test('nor does it in a mix, by the service that it comes with', async () => {
  const commit = await world.push({ branch: 'feature/mixed', from: 'main', says: { web: 'mixed' }, files: loose() });
  await world.live('feature/mixed', commit);
  const mixed = await world.request('trial', 'main', { services: { web: commit } });
  expect((await world.reaches(mixed.id, 'refused')).headline).toContain('main asks unit of web with another run');
  const strict = await world.request('trial', 'main', { services: { api: commit } });
  await world.reaches(strict.id, 'live');
});

test('a branch that asks the same, and changes the tests, counts', async () => {
  const files = { 'services/web/test/more.js': 'one test more' };
  const commit = await world.push({ branch: 'feature/tests', from: 'main', says: { web: 'tested' }, files });
  await world.reaches((await world.request('trial', commit)).id, 'live');
});

test('a check that a branch took out of one service, or brought for one, does not open the gate', async () => {
  const gone = config('test it well').replace(', checks: { unit: { run: check the sums } }', '');
  const files = { 'towpath.yaml': `project: bound\n${gone}` };
  const commit = await world.push({ branch: 'feature/gone', from: 'main', says: { web: 'gone' }, files });
  const refused = await world.reaches((await world.request('trial', commit)).id, 'refused');
  expect(refused.headline).toContain('main asks unit of api and this release does not');
});

test('what waits for an answer that has become too old asks again, and goes on', async () => {
  const commit = await world.push({ branch: 'feature/old', from: 'main', says: { web: 'old' } });
  await world.live('feature/old', commit);
  const { db } = world.house.store;
  await sql`update evidence set at = at - interval '2 hours'`.execute(db);
  let asked = 0;
  world.answer = () => {
    asked += 1;
    return { kind: 'exited', code: 0 };
  };
  await world.reaches((await world.request('recent', commit)).id, 'live');
  expect(asked).toBe(2);
  await world.reaches((await world.request('recent', commit)).id, 'live');
  expect(asked).toBe(2);
});

test('a tag on a branch waits until main asks the same; once merged, commits of main and of the branch count', async () => {
  const head = await world.push({ branch: 'feature/later', from: 'main', says: { web: 'later' }, files: loose() });
  await world.git('tag', 'v1.0.0', head);
  await world.poll();
  const waiting = await world.promotion('tagged', head, 'waiting');
  await world.says(waiting.id, 'main asks unit of web with another run');
  const merged = await world.push({ merge: 'feature/later', says: { web: 'later' }, files: loose() });
  await world.reaches(waiting.id, 'live');
  await world.reaches((await world.request('trial', merged)).id, 'live');
  const strict = await world.push({ says: { web: 'strict again' }, files: loose('test it better') });
  await until(async () => {
    const { items } = await world.useCases.releases.list('bound', { limit: 1 });
    return items[0]?.commit === strict ? true : null;
  });
  // it was the head of main, and asks what main asked then
  await world.reaches((await world.request('trial', merged)).id, 'live');
  const branch = await world.request('trial', head);
  expect((await world.reaches(branch.id, 'refused')).headline).toContain('with another run');
});

test('why of a release says of each environment what it rests upon, and what would have been said then', async () => {
  const first = await world.push({ branch: 'feature/why', from: 'main', says: { web: 'why' } });
  await world.live('feature/why', first);
  const docs = await world.push({ branch: 'feature/why', files: { 'README.md': 'Read this.\n' } });
  await world.live('feature/why', docs);
  const then = new Date();
  const trial = async (at?: Date) => {
    const where = { environment: 'trial', ...(at === undefined ? {} : { at }) };
    const { environments } = await world.useCases.why(world.project, docs, where);
    return environments[0];
  };
  const passed = { verdict: 'passed', check: 'unit', summary: expect.any(String) };
  expect(await trial()).toMatchObject({
    verdict: 'go',
    lines: [
      {
        verdict: 'pass',
        evidence: [passed, { ...passed, service: 'web', reusedFrom: expect.stringContaining(first.slice(0, 7)) }],
      },
    ],
  });
  world.answer = () => ({ kind: 'exited', code: 1 });
  await world.useCases.releases.test(world.project, docs, 'unit', 'olga');
  await until(async () => ((await trial())?.verdict === 'refuse' ? true : null));
  expect(await trial()).toMatchObject({
    headline: expect.stringContaining('refuses it: unit failed'),
    lines: [{ evidence: [{ verdict: 'failed', reusedFrom: null }, {}] }],
  });
  expect(await trial(then)).toMatchObject({
    verdict: 'go',
    unknown: [expect.stringContaining('a hold'), expect.stringContaining('beside checks')],
    lines: [{ evidence: [passed, passed] }],
  });
  const everywhere = await world.useCases.why(world.project, docs);
  expect(everywhere.environments.map(({ environment, verdict }) => [environment, verdict])).toEqual([
    ['trial', 'refuse'],
    ['recent', 'refuse'],
    ['tagged', 'refuse'],
  ]);
  await world.useCases.releases.yank(world.project, docs, 'wrong tax', 'olga');
  const barred = new Date();
  await world.useCases.releases.unyank(world.project, docs, 'olga');
  expect((await trial(barred))?.lines[0]).toMatchObject({ gate: 'yank', what: expect.stringContaining('wrong tax') });
  expect((await trial())?.lines.map(({ gate }) => gate)).toEqual(['unit']);
  const before = world.useCases.why(world.project, docs, { at: new Date('2020-01-01T00:00:00Z') });
  await expect(before).rejects.toMatchObject({ code: 'path.unknown-then' });
});
