import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { claimPort, releasePort } from './ports.ts';

const IDS = ['web-1', 'web-2', 'api-1', 'api-2'];

let place: string;

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'towpath-ports-'));
});
afterAll(() => rm(place, { recursive: true, force: true }));

const claimAll = (folder: string): Promise<number[]> =>
  Promise.all(IDS.map((id) => claimPort(join(place, folder), id)));

test('an instance gets its port again, and nobody else has it until it is given back', async () => {
  const ports = await claimAll('one');
  expect(new Set(ports).size).toBe(IDS.length);
  expect(await claimAll('one')).toEqual(ports);
  for (const id of IDS) await releasePort(join(place, 'one'), id);
  expect(await claimAll('one')).toEqual(ports);
});

test('another installation, whose instances have the same ids, looks from elsewhere', async () => {
  const [ours, theirs] = await Promise.all([claimAll('ours'), claimAll('theirs')]);
  expect(theirs.filter((port) => ours.includes(port)).length).toBeLessThan(IDS.length);
});
