import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { openLocalSnapshots, type Snapshots } from '../../../git/snapshot.ts';
import { type Forge, type ForgeRepository, startForge } from '../../../git/testing/forge.ts';
import { type Surveyed, type SurveyLimits, surveyManifests } from './survey.ts';

let forge: Forge;
let repository: ForgeRepository;
let directory: string;
let snapshots: Snapshots;

beforeAll(async () => {
  forge = await startForge();
  repository = await forge.createRepository('manifests');
  await repository.commit({
    files: Object.fromEntries(
      Array.from({ length: 300 }, (_, at) => [`apps/a${at}/web.yaml`, `kind: App\nimage: shop/a${at}:v1\n`]),
    ),
  });
  directory = await mkdtemp(join(tmpdir(), 'towpath-survey-'));
  snapshots = await openLocalSnapshots(repository.directory, { directory, maxFileBytes: 10_000, timeoutMs: 60_000 });
});
afterAll(async () => {
  snapshots.close();
  await forge.close();
  await rm(directory, { recursive: true, force: true });
});

function survey(limits: Partial<SurveyLimits>, now: () => number = () => 0): Promise<Surveyed> {
  const signal = new AbortController().signal;
  return surveyManifests(snapshots, { branches: ['main'], known: null, now, limits, signal });
}

function found({ environments }: Surveyed): number {
  return environments.flatMap(({ services }) => Object.keys(services)).length;
}

test('so many files and images are read, and the rest is counted', async () => {
  const all = await survey({});
  expect([found(all), all.leftOut]).toEqual([300, []]);
  const files = await survey({ files: 120 });
  expect(found(files)).toBe(120);
  expect(files.leftOut).toMatchObject([{ where: 'files (180)', why: expect.stringContaining('were not read') }]);
  expect(found(await survey({ fields: 50 }))).toBe(50);
  const places = await survey({ places: 70 });
  expect([found(places), places.leftOut.length]).toEqual([70, 230]);
});

test('it ends when its time is over, with what it has tried by then', async () => {
  let ms = 0;
  const slow = await survey({ timeMs: 500 }, () => (ms += 2));
  expect(found(slow)).toBe(0);
  expect(slow.leftOut.map(({ why }) => why)).toContain('was not tried: the time was over');
  expect(slow.leftOut.at(-1)?.where).toMatch(/^files \(\d+\)$/);
});

test('it can be called off', async () => {
  const off = new AbortController();
  off.abort(new Error('enough'));
  await expect(
    surveyManifests(snapshots, { branches: ['main'], known: null, now: () => 0, signal: off.signal }),
  ).rejects.toThrow('enough');
});
