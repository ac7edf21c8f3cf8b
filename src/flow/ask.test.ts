import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { createWorld, type World } from './testing/world.ts';

const CONFIG = `
services:
  web:
    path: services/web
    build: text
    checks: { unit: { run: try it, keep: shots/ }, checkout: { run: try it, during: deployment, type: end-to-end } }
  api:
    path: services/api
    build: text
    checks: { unit: { run: try it }, checkout: { run: try it, during: deployment } }
environments:
  dev: { on: manual, accepts: any, deploy: stage, settle: 0ms, verify: [checkout] }
  qa: { on: { merge: main }, gates: [unit], deploy: stage, settle: 0ms }
`;

let world: World;
let asked: { readonly of: string; readonly digest: string }[];
beforeAll(async () => {
  const met: string[] = [];
  let meet = (): void => undefined;
  const all = new Promise<void>((resolve) => (meet = resolve));
  asked = [];
  world = await createWorld('shop', CONFIG, {
    says: { web: 'hello', api: 'api' },
    answer: async ({ env, image, mounts = [] }) => {
      const { TOWPATH_CHECK: check, TOWPATH_SERVICE: service = '' } = env;
      for (const { from, writable } of mounts) if (writable) await writeFile(join(from, 'a.png'), 'a picture');
      asked.push({ of: `${check} of ${service}`, digest: image.reference.split('@')[1] ?? '' });
      if (check === 'unit') met.push(service);
      if (met.length === 2) meet();
      if (check === 'unit') await all; // each waits for the other
      return { kind: 'exited', code: 0 };
    },
  });
  await world.live('qa', await world.git('rev-parse', 'main'));
});
afterAll(() => world.end());

test('a check of several services is asked of them at once', () => {
  expect(asked.map(({ of }) => of).toSorted()).toEqual(['unit of api', 'unit of web']);
});

test('what a run leaves is kept with its answer', async () => {
  const { evidence, releases } = world.useCases;
  const answers = (await releases.show('shop', 'main')).evidence;
  expect(answers.map(({ service, kept, type }) => ({ service, kept, type }))).toEqual([
    { service: 'api', kept: 0, type: 'unit' },
    { service: 'web', kept: 1, type: 'unit' },
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

test('at every switch of an image the checks of the deployment are asked again, of all its services', async () => {
  await world.push({ branch: 'feature/api', from: 'main', says: { api: 'another api' } });
  const switched = async (switching: () => Promise<{ readonly id: string }>) => {
    asked = [];
    await world.reaches((await switching()).id, 'live');
    return asked;
  };
  const first = await switched(() => world.request('dev', 'main'));
  const of = ['checkout of api', 'checkout of web'];
  expect(first.map((one) => one.of).toSorted()).toEqual(of);

  const mixed = await switched(() => world.request('dev', 'main', { services: { api: 'feature/api' } }));
  expect(mixed.map((one) => one.of).toSorted()).toEqual(of);
  const digestOf = (all: typeof asked, service: string) => all.find((one) => one.of.endsWith(service))?.digest;
  expect(digestOf(mixed, 'web')).toBe(digestOf(first, 'web'));
  expect(digestOf(mixed, 'api')).not.toBe(digestOf(first, 'api'));

  const back = await switched(async () => {
    const answer = await world.useCases.environments.rollback({ project: 'shop', environment: 'dev' }, 'olga');
    return 'promotion' in answer ? answer.promotion : { id: 'it was a dry run' };
  });
  expect(back.map((one) => one.of).toSorted()).toEqual(of);
  expect(digestOf(back, 'api')).toBe(digestOf(first, 'api'));
  const { evidence } = await world.useCases.lineage('shop', 'main');
  expect(
    new Set(evidence.filter(({ check }) => check === 'checkout').map(({ service, type }) => [service, type].join())),
  ).toEqual(new Set(['web,end-to-end', 'api,']));
});
