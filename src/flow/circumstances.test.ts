import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { createWorld, type World } from './testing/world.ts';

interface Wrong {
  readonly secret?: string;
  readonly probe?: string;
}

const config = ({ secret = 'RIGHT', probe = 'right' }: Wrong = {}) => `
services:
  web: { path: services/web, build: text, checks: { smoke: { run: '${probe}', during: deployment } } }
environments:
  qa:
    on: { merge: main }
    deploy: stage
    settle: 0ms
    secrets: { KEY: 'env:${secret}' }
    verify: [smoke]
    onFailure: { rollback: true, yank: true }
`;

let world: World;
/** What qa runs when a test begins. */
let base: string;

beforeAll(async () => {
  world = await createWorld('circumstances', config(), { says: { web: 'hello' } });
  await world.promotion('qa', await world.git('rev-parse', 'main'), 'live', 'failed');
}, 120_000);

afterAll(() => world.end());

let count = 0;
beforeEach(async () => {
  count += 1;
  world.env['RIGHT'] = 'a value';
  world.answer = () => ({ kind: 'exited', code: 0 });
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  base = await world.push({ says: { web: `base ${count}` }, files: path() });
  await world.live('qa', base);
});

test('a secret that is not there speaks against no artifact: with the reference corrected the same ones go in', async () => {
  const bad = await world.push({ says: { web: 'in need' }, files: path({ secret: 'WRONG' }) });
  const failed = await world.promotion('qa', bad, 'failed');
  expect(failed.headline).toContain('The secret "env:WRONG" is not there.');
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  await world.live('qa', await world.push({ files: path() }));
  expect(world.runs('qa')).toEqual({ web: 'in need' });
});

test('what failed for want of a secret may come again by itself, also where nothing was corrected in the file', async () => {
  delete world.env['RIGHT'];
  const bad = await world.push({ says: { web: `waits for it ${count}` } });
  await world.promotion('qa', bad, 'failed');
  world.env['RIGHT'] = 'a value';
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
  await world.live('qa', await world.push({ files: { 'README.md': `Read ${count}.\n` } }));
});

test('a check that was wrong bars nothing once it is corrected', async () => {
  failOnce();
  const bad = await world.push({ says: { web: 'well all the time' }, files: path({ probe: 'wrong' }) });
  await world.promotion('qa', bad, 'rolled-back');
  await lift(bad);
  await world.live('qa', await world.push({ files: path() }));
  expect(world.runs('qa')).toEqual({ web: 'well all the time' });
});

test('artifacts that failed do not come again by themselves while nothing else has changed; by hand they do', async () => {
  failOnce();
  const bad = await world.push({ says: { web: 'sick' } });
  const { number } = await world.promotion('qa', bad, 'rolled-back');
  await lift(bad);
  const again = await world.push({ files: { 'README.md': `Read on ${count}.\n` } });
  const [reason] = (await world.promotion('qa', again, 'refused')).reasons;
  expect(reason).toMatchObject({ gate: 'failed-before', what: expect.stringContaining(`promotion ${number}`) });
  const command = /`towpath promote (\S+) (\S+)`/.exec(reason?.fix ?? '');
  const [, release = '', environment = ''] = command ?? [];
  await world.reaches((await world.request(environment, release)).id, 'live');
  expect(world.runs('qa')).toEqual({ web: 'sick' });
});

/** The next check fails; what is put back after it does well. */
function failOnce(): void {
  let asked = 0;
  world.answer = () => ({ kind: 'exited', code: asked++ === 0 ? 1 : 0 });
}

function path(wrong: Wrong = {}) {
  return { 'towpath.yaml': `project: circumstances\n${config(wrong)}` };
}

/** The failure held the environment and barred the release, as its rule says. */
async function lift(commit: string): Promise<void> {
  await world.useCases.releases.unyank(world.project, commit, 'olga');
  await world.useCases.environments.resume(world.project, 'qa', 'olga');
}
