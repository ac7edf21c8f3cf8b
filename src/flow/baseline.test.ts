import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { recordEvidence } from '../check/evidence-store.ts';
import type { Release } from '../release/release.ts';
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
    checks:
      load: { run: load, performance: { wrk: reports/wrk.txt, baseline: { environment: prod, slower: { mean: 10 } } } }
environments:
  prod: { on: manual, accepts: any, deploy: stage, settle: 0ms }
`;
const WRK = readFileSync(new URL('../../fixtures/performance/wrk-latency.txt', import.meta.url), 'utf8');

let world: World;

beforeAll(async () => {
  world = await createWorld('baseline', config, { says: { web: 'one' } });
}, 120_000);
afterAll(() => world.end());

test('a release is measured against what runs, and asks the same when it runs itself', async () => {
  const first = await releaseOf(world, await world.git('rev-parse', 'main'));
  expect(await measured(first, '15.41ms')).toMatchObject({
    verdict: 'passed',
    summary: expect.stringContaining('no baseline yet: what runs in prod was not measured so'),
    performance: { measures: { mean: 15.41 } },
  });
  await runs(first);
  expect(await questionOf(first)).toMatchObject({ before: { digest: null } });

  const second = await releaseOf(world, await world.push({ says: { web: 'two' } }));
  const asked = await questionOf(second);
  expect(asked.before?.digest).toBe(first.services[0]?.digest);
  expect(await measured(second, '20.00ms')).toMatchObject({
    verdict: 'failed',
    summary: expect.stringContaining('mean is 29.8 % slower than in prod (mean 15.4 ms), at most 10 % are wanted'),
  });
  expect(await measured(second, '16.00ms')).toMatchObject({ verdict: 'passed' });
  await runs(second);
  expect((await questionOf(second)).id).toBe(asked.id);

  const third = await releaseOf(world, await world.push({ says: { web: 'three' } }));
  expect((await questionOf(third)).before?.digest).toBe(second.services[0]?.digest);
  // the latest pass of what runs now, whatever came before it
  expect(await measured(third, '17.50ms')).toMatchObject({ verdict: 'passed' });
});

async function runs(release: Release): Promise<void> {
  await world.request('prod', release.commit);
  await world.live('prod', release.commit);
}

async function measured(release: Release, mean: string) {
  const tools = await world.house.checkToolsFor('any', {});
  const house: House = {
    ...world.house,
    checkToolsFor: async () => ({
      ...tools,
      runner: {
        ...tools.runner,
        run: async ({ mounts = [] }) => {
          const reports = mounts.find(({ to }) => to.endsWith('/reports'))?.from ?? '';
          await writeFile(join(reports, 'wrk.txt'), WRK.replace('15.41ms', mean));
          return { kind: 'exited', code: 0 };
        },
      },
    }),
  };
  const [evidence] = await askRelease(house, release, 'load', {
    signal: new AbortController().signal,
    sinceMs: Date.now() + 3_600_000,
  });
  if (evidence === undefined) throw new Error('Nothing was asked.');
  await recordEvidence(house.store.db, evidence);
  return evidence.answer;
}

async function questionOf(release: Release) {
  const [asked] = await questionsOf(world.house, release, 'load');
  if (asked === undefined) throw new Error('Nothing is asked.');
  return asked;
}
