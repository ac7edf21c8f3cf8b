import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { expect, onTestFinished, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { createWorld } from './testing/world.ts';

const CONFIG = `
services:
  web: { path: services/web, build: text, checks: { unit: { run: try it, keep: shots/ } } }
  api: { path: services/api, build: text, checks: { unit: { run: try it } } }
environments:
  qa: { on: { merge: main }, gates: [unit], deploy: stage }
`;

test('a check of several services is asked of them at once, and what a run leaves is kept with its answer', async () => {
  const met: string[] = [];
  let meet = (): void => undefined;
  const all = new Promise<void>((resolve) => (meet = resolve));
  const world = await createWorld('shop', CONFIG, {
    says: { web: 'hello', api: 'api' },
    answer: async ({ env, mounts = [] }) => {
      for (const { from, writable } of mounts) if (writable) await writeFile(join(from, 'a.png'), 'a picture');
      met.push(env['TOWPATH_SERVICE'] ?? '');
      if (met.length === 2) meet();
      await all; // each waits for the other
      return { kind: 'exited', code: 0 };
    },
  });
  onTestFinished(() => world.end());
  await world.live('qa', await world.git('rev-parse', 'main'));
  expect(met.toSorted()).toEqual(['api', 'web']);

  const { evidence, releases } = world.useCases;
  const answers = (await releases.show('shop', 'main')).evidence;
  expect(answers.map(({ service, kept }) => ({ service, kept }))).toEqual([
    { service: 'api', kept: 0 },
    { service: 'web', kept: 1 },
  ]);
  const id = answers.find(({ service }) => service === 'web')?.id ?? '';
  const digest = sha256('a picture');
  expect(await evidence.show('shop', id)).toMatchObject({
    files: [{ path: 'shots/a.png', size: 9, digest, gone: false }],
    leftOut: 0,
  });
  const { bytes } = await evidence.file('shop', id, 'shots/a.png');
  expect(String(await buffer(bytes))).toBe('a picture');
  await expect(evidence.file('shop', id, 'shots/b.png')).rejects.toMatchObject({ code: 'check.file-unknown' });
  await world.house.store.db.deleteFrom('kept_file').execute();
  expect((await evidence.show('shop', id)).files).toMatchObject([{ gone: true }]);
  await expect(evidence.file('shop', id, 'shots/a.png')).rejects.toMatchObject({ code: 'check.file-missing' });
});
