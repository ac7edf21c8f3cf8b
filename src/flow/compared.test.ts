import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { askRelease } from './ask.ts';
import { questionsOf } from './question.ts';
import type { House } from './house.ts';
import { releaseOf } from './testing/release-of.ts';
import { createWorld, type World } from './testing/world.ts';

const config = `
services:
  web:
    path: services/web
    build: text
    checks: { unit: { run: test, coverage: { lcov: coverage/lcov.info, changed: { min: 80 } } } }
  api: { path: services/api, build: text, checks: { unit: { run: test } } }
environments:
  dev: { on: manual, accepts: any, deploy: stage, settle: 0ms }
`;

const A = 'services/web/a.js';
const B = 'services/web/b.js';

let world: World;

beforeAll(async () => {
  world = await createWorld('compared', config, { says: { web: 'one', api: 'one' }, files: { [A]: '1\n2\n' } });
}, 120_000);
afterAll(() => world.end());

test('what a branch changed is what it changed since it left the default branch, and its merge asks the same', async () => {
  const left = await world.git('rev-parse', 'main');
  await world.push({ branch: 'topic', from: 'main', files: { [A]: '1\n2\n3\n' } });
  await world.push({ files: { 'README.md': 'main goes on' } });
  const tip = await world.push({ branch: 'topic', files: { [B]: 'b\n' } });
  const asked = await question(tip);
  expect(asked).toMatchObject({ since: left, lines: { 'a.js': [[3, 3]], 'b.js': [[1, 1]] } });

  const merge = await world.push({ merge: 'topic', files: { [A]: '1\n2\n3\n', [B]: 'b\n' } });
  expect((await question(merge)).lines).toEqual(asked.lines);
  expect((await question(merge)).id).toBe(asked.id);
  expect(await question(tip)).toEqual(asked); // also now that the default branch has it
});

test('a push of several commits is compared with what was there before it', async () => {
  const before = await world.git('rev-parse', 'main');
  const half = await world.commit({ files: { [A]: '1\n2\n3\n4\n' } });
  const whole = await world.push({ files: { [B]: 'b\nc\n' } });
  const asked = await question(whole);
  expect(asked).toMatchObject({ since: before, lines: { 'a.js': [[4, 4]], 'b.js': [[2, 2]] } });

  await world.git('branch', 'half', half);
  await world.poll();
  expect(await question(half)).toMatchObject({ since: before, lines: { 'a.js': [[4, 4]] } });
});

test('a commit that leaves the service alone asks what the one before it asked', async () => {
  const bad = await world.push({ files: { [A]: 'bad\n' } });
  const asked = await question(bad);
  const docs = await world.push({ files: { 'README.md': 'words' } });
  const more = await world.push({ files: { 'README.md': 'more words' } });
  for (const commit of [docs, more]) expect(await question(commit)).toEqual(asked);
  const branch = await world.push({ branch: 'words', from: 'main', files: { 'README.md': 'yet more' } });
  expect(await question(branch)).toEqual(asked);
});

test('a history that begins anew has nothing to be compared with: all of it is new', async () => {
  const yaml = await world.git('show', 'main:towpath.yaml');
  const files = { 'towpath.yaml': yaml, 'services/web/text': 'two', 'services/api/text': 'two', [A]: 'x\n' };
  const island = await world.push({ branch: 'island', force: true, files });
  expect(await question(island)).toMatchObject({ since: null, lines: { 'a.js': [[1, 1]] } });
});

test('the check is told what changed, and the refusal names what did not run', async () => {
  const commit = await world.push({ branch: 'asked', from: 'main', files: { [B]: 'b\nnew\nmore\n' } });
  const release = await releaseOf(world, commit);
  const tools = await world.house.checkToolsFor('any', {});
  const lcov = 'SF:b.js\nDA:1,1\nDA:2,1\nDA:3,0\nend_of_record\n';
  const house: House = {
    ...world.house,
    checkToolsFor: async () => ({
      ...tools,
      runner: {
        ...tools.runner,
        run: async ({ mounts = [] }) => {
          const folder = mounts.find(({ to }) => to.endsWith('/coverage'))?.from; // not every check has one
          if (folder !== undefined) await writeFile(join(folder, 'lcov.info'), lcov);
          return { kind: 'exited', code: 0 };
        },
      },
    }),
  };
  const asked = { signal: new AbortController().signal, sinceMs: undefined };
  const web = (await askRelease(house, release, 'unit', asked)).find(({ service }) => service === 'web');
  expect(web?.answer).toMatchObject({
    verdict: 'failed',
    summary: expect.stringContaining('50 % of 2 changed lines ran, 80 % are wanted (not run: b.js:3)'),
    changed: { covered: 1, total: 2, uncovered: ['b.js:3'] },
  });
});

test('a check that compares nothing is asked as ever', async () => {
  expect((await questionFor(await world.git('rev-parse', 'main'), 'api')).changes).toBeNull();
});

async function question(commit: string) {
  const { id, changes } = await questionFor(commit, 'web');
  return { id, since: changes?.since, lines: Object.fromEntries((await changes?.lines()) ?? []) };
}

async function questionFor(commit: string, service: string) {
  const release = await releaseOf(world, commit);
  const asked = (await questionsOf(world.house, release, 'unit')).find((one) => one.service === service);
  if (asked === undefined) throw new Error(`Nothing is asked of ${service}.`);
  return asked;
}
