import { afterAll, beforeAll, expect, test } from 'vitest';

import { createWorld, type World } from '../testing/world.ts';

const config = `
services:
  web: { path: services/web, build: text }
  api: { path: services/api, build: text }
roles: { managers: [bob, eve] }
users: { eve: [eve@example.com] }
environments:
  preview: { on: { branch: 'feature/*' }, ephemeral: { ttl: 1d }, accepts: any, deploy: stage, settle: 0ms }
  dev: { on: manual, accepts: any, deploy: stage, settle: 0ms }
  signed: { on: manual, accepts: any, from: dev, gates: [{ approvals: { of: managers } }], deploy: stage, settle: 0ms }
  qa: { on: { merge: main }, deploy: stage, settle: 0ms }
`;

let world: World;
let base: string;
let part: string;
let services: Record<string, string>;

beforeAll(async () => {
  world = await createWorld('mixed', config, { says: { web: 'hello', api: 'sums' } });
  base = await world.git('rev-parse', 'main');
  await world.live('qa', base);
  await world.reaches((await world.request('dev', base)).id, 'live');
  part = await world.push({
    branch: 'feature/heavy',
    from: 'main',
    says: { api: 'heavy sums' },
    author: 'bob',
    message: 'Heavier',
  });
  await world.live('feature/heavy', part);
  services = { api: part };
}, 120_000);

afterAll(() => world.end());

test('the dry run of a mix is judged as the mix, not as the release that it begins with', async () => {
  expect(await world.would('signed', base)).toMatchObject({ verdict: 'wait', reasons: [{ gate: 'approvals' }] });
  const would = await world.would('signed', base, { services });
  const asked = await world.request('signed', base, { services });
  const refused = await world.reaches(asked.id, 'refused');
  expect(would).toMatchObject({ verdict: 'refuse', reasons: [{ gate: 'from', what: refused.headline }] });
  expect(refused.headline).toContain(`${base.slice(0, 7)} with api of ${part.slice(0, 7)}`);
});

test('the dry run of a mix whose part is being built waits for it, as the mix does', async () => {
  world.holds.hold('build late');
  const late = await world.push({ branch: 'feature/late', from: 'main', says: { api: 'late' } });
  await world.holds.reached('build late');
  const would = await world.would('dev', base, { services: { api: late } });
  expect(would).toMatchObject({ verdict: 'wait', reasons: [{ gate: 'artifact' }] });
  world.holds.release('build late');
  await world.live('feature/late', late);
  expect(await world.would('dev', base, { services: { api: late } })).toMatchObject({ verdict: 'go' });
});

test('the difference that a mix makes is that of all its parts, before and after', async () => {
  const { diff } = await world.would('dev', base, { services });
  expect(diff.services).toMatchObject([
    { service: 'api', same: false },
    { service: 'web', same: true },
  ]);
  expect(diff.commits).toMatchObject([{ sha: part, author: 'bob', subject: 'Heavier' }]);
  const { id } = await world.request('dev', base, { services });
  const { release } = await world.reaches(id, 'live');
  expect(world.runs('dev')).toEqual({ web: 'hello', api: 'heavy sums' });
  const back = await world.useCases.diff(world.project, release.id, base);
  expect(back).toMatchObject({ commits: [], lost: [{ sha: part }] });
});

test('who wrote a part of a mix does not approve it alone', async () => {
  const { id } = await world.request('signed', base, { services });
  await world.reaches(id, 'waiting');
  await world.useCases.promotions.approve(id, undefined, 'bob');
  await world.says(id, 'by somebody who did not write it (so far: bob)');
  await world.useCases.promotions.approve(id, undefined, 'eve');
  await world.reaches(id, 'live');
});

test('lineage reads from an artifact to its commits and environments, and from an environment to its commits', async () => {
  const docs = await world.push({ files: { 'README.md': 'More.\n' }, message: 'Say more' });
  const qa = await world.live('qa', docs);
  const digest = qa.services.find(({ service }) => service === 'web')?.digest ?? '';
  const ofArtifact = await world.useCases.lineage(world.project, digest);
  expect(ofArtifact.commits.map(({ sha }) => sha)).toEqual(expect.arrayContaining([base, docs, part]));
  expect(ofArtifact.artifacts).toContainEqual(expect.objectContaining({ service: 'web', digest, builtFor: base }));
  const now = ofArtifact.environments.filter((one) => one.now).map(({ environment }) => environment);
  expect(now).toEqual(expect.arrayContaining(['qa', 'dev', 'signed']));
  const ofEnvironment = await world.useCases.lineage(world.project, 'qa');
  expect(ofEnvironment.commits.map(({ sha }) => sha)).toEqual([docs, base]);
  const ofCommit = await world.useCases.lineage(world.project, part);
  expect(ofCommit.artifacts.map(({ service, builtFor }) => [service, builtFor])).toEqual([
    ['api', part],
    ['web', base],
  ]);
  expect(ofCommit.environments).toMatchObject([{ state: 'live', now: true }]);
});
