import { afterAll, beforeAll, expect, test } from 'vitest';

import { createWorld, type World } from '../testing/world.ts';

const config = `
services:
  web: { path: services/web, build: text, checks: { unit: { run: node --test } } }
  api: { path: services/api, build: text }
environments:
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
  old: { on: { merge: master }, deploy: stage, settle: 0ms }
  prod: { on: manual, accepts: any, gates: [unit], deploy: stage, settle: 0ms }
`;

let world: World;
let base: string;
let number: number;
let id: string;

beforeAll(async () => {
  world = await createWorld('named', config, { says: { web: 'hello', api: 'sums' } });
  base = await world.git('rev-parse', 'main');
  const { history } = await world.live('qa', base);
  ({ number, id } = history[0] ?? { number: 0, id: '' });
  await world.house.store.db.insertInto('project').values({ id: 'prj_other', name: 'other' }).execute();
}, 120_000);

afterAll(() => world.end());

const why = (subject: string, project = 'named') => world.useCases.why(project, subject);

test('a number is a release of the project, whatever promotions there are; a promotion says that it is one', async () => {
  const [release] = (await world.useCases.releases.list('named', { limit: 1 })).items;
  const its = `#${release?.number} (${base.slice(0, 7)}, main)`;
  expect((await why(`#${release?.number}`)).subject).toBe(its);
  expect((await why(String(release?.number))).subject).toBe(its);
  for (const word of [`promotion ${number}`, id, id.slice(0, -3)])
    expect((await why(word)).subject, word).toBe(`promotion ${number}: ${its} to qa`);
  await expect(world.useCases.promotions.show(`#${number}`)).rejects.toMatchObject({
    code: 'promotion.unknown',
    fix: expect.stringContaining(`promotion ${number}`),
  });
  expect((await world.useCases.promotions.show(`promotion ${number}`)).id).toBe(id);
});

test('a promotion of another project is nothing here', async () => {
  for (const word of [`promotion ${number}`, id])
    await expect(why(word, 'other'), word).rejects.toMatchObject({ code: 'path.unknown-subject' });
});

test('what is called by no name of the project is told the environments that there are', async () => {
  await expect(why('nowhere')).rejects.toMatchObject({
    code: 'path.unknown-subject',
    what: 'There is no environment, promotion or release "nowhere" in this project.',
    fix: expect.stringMatching(/environment \(qa, old, prod\)/),
  });
});

test('an environment whose branch was never pushed says so, and names the default branch', async () => {
  const { reasons } = await why('old');
  expect(reasons).toMatchObject([
    { gate: 'trigger', what: expect.stringMatching(/No push to master.*branch is main/) },
  ]);
});

test('the audit trail is asked by name and answers with names', async () => {
  await world.useCases.environments.hold('named', 'qa', 'a look', 'olga');
  const asked = await world.useCases.promotions.request({ project: 'named', environment: 'qa', release: base }, 'olga');
  const promotion = asked.kind === 'started' ? asked.promotion : null;
  await world.useCases.releases.retry('named', base, 'olga');
  const told = async (subject: string) =>
    (await world.useCases.audit.list({ limit: 9, subject })).items.map(({ action, name }) => [action, name]);
  expect(await told('qa')).toEqual([['environment.hold', 'qa']]);
  expect(await told('named')).toContainEqual(['project.add', 'named']);
  expect(await told(`promotion ${promotion?.number}`)).toEqual([
    ['promotion.request', `promotion ${promotion?.number} to qa`],
  ]);
  const release = `#${promotion?.release.number}`;
  expect(await told(release)).toEqual([['release.retry', `${release} (${base.slice(0, 7)})`]]);
  await expect(told('nowhere')).rejects.toMatchObject({ code: 'path.unknown-subject' });
  await expect(world.useCases.audit.list({ limit: 9, subject: 'qa', project: 'other' })).rejects.toMatchObject({
    code: 'path.unknown-subject',
  });
});

test('a refusal by a check names the command for its log, and every release of the artifacts has the answer', async () => {
  world.answer = () => ({ kind: 'exited', code: 1 });
  const { id } = await world.request('prod', base);
  const { reasons } = await world.reaches(id, 'refused');
  expect(reasons).toMatchObject([
    { gate: 'unit', fix: expect.stringContaining(`towpath logs ${base.slice(0, 7)} unit`) },
  ]);
  const { evidence } = await world.useCases.releases.show('named', base);
  const logs = [(await world.useCases.promotions.show(id)).logId, ...evidence.map(({ logId }) => logId ?? '')];
  expect(await Promise.all(logs.map((log) => world.useCases.logs.projectsOf(log)))).toEqual(logs.map(() => ['named']));
  await expect(world.useCases.logs.read('log_nobody', undefined)).rejects.toMatchObject({ code: 'log.unknown' });
  const docs = await world.push({ files: { 'README.md': 'More.\n' }, message: 'Say more' });
  await world.useCases.environments.resume('named', 'qa', 'olga');
  await world.live('qa', docs);
  for (const release of [base, docs])
    expect((await world.useCases.releases.show('named', release)).evidence, release).toMatchObject([
      { check: 'unit', service: 'web', verdict: 'failed', logId: expect.stringMatching(/^log_/) },
    ]);
});

test('lineage knows an artifact by the first digits of its digest, and says when they are those of two', async () => {
  const { services } = await world.environment('qa');
  const digest = services.find(({ service }) => service === 'web')?.digest ?? '';
  for (const word of [digest, digest.slice(0, 13), digest.slice(7, 13)])
    expect(
      (await world.useCases.lineage('named', word)).releases.map(({ commit }) => commit),
      word,
    ).toContain(base);
  await expect(world.useCases.lineage('named', digest.slice(0, 12))).rejects.toMatchObject({ code: 'release.unknown' });
  const twin = `${digest.slice(0, 13)}${'0'.repeat(58)}`;
  await world.house.store.db.updateTable('artifact').set({ digest: twin }).where('service', '=', 'api').execute();
  await expect(world.useCases.lineage('named', digest.slice(0, 13))).rejects.toMatchObject({
    code: 'path.digest-ambiguous',
  });
});
