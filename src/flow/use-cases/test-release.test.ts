import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { underOperation } from '../../store/once.ts';
import { until } from '../testing/until.ts';
import { createWorld, type World } from '../testing/world.ts';

const config = `
services:
  web:
    path: services/web
    build: text
    checks:
      lint: { run: lint, during: build }
      integration: { run: test }
      smoke: { http: { path: /healthz } }
  api: { path: services/api, build: text, checks: { integration: { run: test } } }
roles: { managers: [bob] }
environments:
  gated: { on: manual, accepts: any, gates: [integration], deploy: stage, settle: 0ms }
  follows: { on: manual, accepts: any, deploy: stage, settle: 0ms }
  strict: { on: manual, accepts: any, gates: [integration], deploy: stage, settle: 0ms, onFailure: { yank: true } }
  signed: { on: manual, accepts: any, gates: [integration, { approvals: { of: managers } }], deploy: stage, settle: 0ms }
`;

let world: World;

beforeAll(async () => {
  world = await createWorld('asked', config, { says: { web: 'first', api: 'first' } });
}, 120_000);
beforeEach(() => answer(0));
afterAll(() => world.end());

test('a check that failed is asked again without a push, and the newer answer counts', async () => {
  const commit = await built('outage');
  answer(1);
  const { id } = await world.request('gated', commit);
  const refused = await world.reaches(id, 'refused');
  expect(refused.reasons).toMatchObject([
    { fix: expect.stringContaining(`towpath test ${commit.slice(0, 7)} integration`) },
  ]);
  answer(0);
  const asked = await ask(commit, 'integration');
  expect(asked.asked).toEqual([
    { check: 'integration', service: 'api' },
    { check: 'integration', service: 'web' },
  ]);
  expect(await told(asked.id)).toEqual(['check.passed api', 'check.passed web']);
  await world.reaches((await world.request('gated', commit)).id, 'live');
  const { items } = await world.useCases.audit.list({ limit: 1, subject: commit, project: world.project });
  expect(items[0]).toMatchObject({ actor: 'olga', action: 'release.test', detail: { checks: ['integration'] } });
});

test('a re-run that fails takes an earlier pass back, and those that wait look again', async () => {
  const commit = await built('revoked');
  const { id } = await world.request('signed', commit);
  await world.says(id, 'waits for 1 more approval');
  answer(1);
  await ask(commit);
  expect((await world.reaches(id, 'refused')).headline).toContain('integration failed');
});

test('a re-run that fails is shown wherever these artifacts run, until it passes or something else does', async () => {
  const before = await built('before');
  await world.reaches((await world.request('follows', before)).id, 'live');
  const commit = await built('runs');
  for (const place of ['gated', 'follows']) await world.reaches((await world.request(place, commit)).id, 'live');
  const revoked = async (place: string) =>
    (await world.environment(place)).revoked.map(({ check, service }) => `${check} ${service}`);
  answer(1);
  await told((await ask(commit, 'integration')).id);
  for (const place of ['gated', 'follows'])
    expect(await revoked(place)).toEqual(['integration api', 'integration web']);
  const { reasons } = await world.useCases.why(world.project, 'follows');
  expect(reasons[0]).toMatchObject({
    gate: 'integration',
    what: expect.stringContaining('which runs here'),
    fix: expect.stringContaining('`towpath rollback follows` brings #'),
  });
  answer(0);
  await told((await ask(commit, 'integration')).id);
  expect(await revoked('gated')).toEqual([]);
  const { rows } = {
    rows: await world.house.store.db
      .selectFrom('event')
      .selectAll()
      .where('kind', 'in', ['environment.revoked', 'environment.cleared'])
      .orderBy('id')
      .execute(),
  };
  expect(rows.map(({ kind }) => kind)).toEqual([
    ...Array(4).fill('environment.revoked'),
    ...Array(4).fill('environment.cleared'),
  ]);
  answer(1);
  await told((await ask(commit, 'integration')).id);
  expect(await revoked('follows')).toHaveLength(2);
  answer(0);
  await world.reaches((await world.request('follows', before)).id, 'live');
  expect(await revoked('follows')).toEqual([]);
});

test('where a failure bars, one of a re-run bars what runs there, and says how to go back', async () => {
  const commit = await built('barred');
  await world.reaches((await world.request('strict', commit)).id, 'live');
  answer(1);
  await told((await ask(commit, 'integration')).id);
  expect((await world.environment('strict')).current).toMatchObject({
    yanked: true,
    yank: { by: 'towpath', reason: expect.stringMatching(/^integration of (api|web) failed: /) },
  });
  const { reasons } = await world.useCases.why(world.project, 'strict');
  expect(reasons.map(({ gate }) => gate)).toEqual(['yank', 'integration', 'integration']);
  expect(reasons[0]?.fix).toContain('It cannot be rolled back');
  const again = await world.request('gated', commit);
  expect((await world.reaches(again.id, 'refused')).headline).toContain('is yanked');
});

test('what could not be asked is asked again at once, also while nobody looks, and says when it could not', async () => {
  const commit = await built('away');
  world.answer = () => {
    throw new Error('no runner answers');
  };
  const { id } = await world.request('gated', commit);
  await world.says(id, 'is being asked');
  const first = await ask(commit);
  expect(await told(first.id)).toEqual(['check.unanswered']);
  answer(0);
  expect(await told((await ask(commit)).id)).toHaveLength(2);
  await world.reaches(id, 'live');
});

test('a request that is repeated asks once', async () => {
  const commit = await built('repeated');
  const once = () => underOperation('test', () => ask(commit));
  const asked = await once();
  await told(asked.id);
  expect(await once()).toEqual(asked);
  expect(await told(asked.id)).toHaveLength(2);
});

test('checks of the build and of a deployment are not asked of a release, and each says what asks it', async () => {
  const commit = await built('others');
  await expect(ask(commit, 'lint')).rejects.toMatchObject({
    code: 'check.of-build',
    fix: expect.stringContaining('towpath build RELEASE'),
  });
  await expect(ask(commit, 'smoke')).rejects.toMatchObject({
    code: 'check.of-deployment',
    fix: expect.stringContaining(`towpath promote ${commit.slice(0, 7)}`),
  });
  await expect(ask(commit, 'integratoin')).rejects.toMatchObject({
    code: 'check.unknown',
    fix: 'Did you mean "integration"?',
  });
});

test('a check of the build that failed is asked again by building again', async () => {
  answer(1);
  const commit = await world.push({ branch: 'lint', from: 'main', says: { web: 'lint' } });
  const failed = await ready(commit, 'failed');
  expect(failed.problem?.fix).toContain(`towpath build ${commit.slice(0, 7)}`);
  await expect(ask(commit)).rejects.toMatchObject({ code: 'release.not-ready' });
  answer(0);
  await world.useCases.releases.retry(world.project, commit, 'olga');
  await ready(commit, 'ready');
});

function answer(code: number): void {
  world.answer = () => ({ kind: 'exited', code });
}

function ask(release: string, check?: string) {
  return world.useCases.releases.test(world.project, release, check, 'olga');
}

/** A release whose services say something that none said before. */
async function built(text: string): Promise<string> {
  const commit = await world.push({ branch: text, from: 'main', says: { web: text, api: text } });
  await ready(commit, 'ready');
  return commit;
}

function ready(commit: string, state: 'ready' | 'failed') {
  return until(async () => {
    const release = await world.useCases.releases.show(world.project, commit).catch(() => null);
    return release?.state === state ? release : null;
  });
}

/** Waits until a test was answered. @returns what its events say, in the order of the alphabet */
async function told(id: string): Promise<string[]> {
  return until(async () => {
    const rows = await world.house.store.db.selectFrom('event').selectAll().where('kind', 'like', 'check.%').execute();
    const its = rows.flatMap(({ kind, data }) => {
      const { test: from, service } = data as { test?: string; service?: string };
      return from === id ? [[kind, service].filter((word) => word !== undefined).join(' ')] : [];
    });
    return its.length === 0 ? null : its.toSorted();
  });
}
