import { afterEach, beforeEach, expect, test } from 'vitest';

import type { TaskSpec } from '../container/runtime.ts';
import { sha256 } from '../lib/digest.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const [OLD, NEW, MOCK] = [sha256('postgres 17.1'), sha256('postgres 17.2'), sha256('mock')];

const CONFIG = `
services:
  web:
    path: services/web
    build: text
    checks:
      integration: { run: try it, with: postgres }
      smoke: { run: try it, with: postgres, during: deployment }
backing:
  postgres:
    image: postgres:17
    port: 5432
    env: { POSTGRES_PASSWORD: test }
    tells: { DATABASE_URL: "postgres://postgres:test@postgres/postgres" }
    mock: { image: "mocks/postgres:1", port: 5433 }
environments:
  qa: { on: { merge: main }, gates: [integration], deploy: stage, verify: [smoke], mocks: [postgres] }
`;

let world: World;
let specs: TaskSpec[];
beforeEach(async () => {
  specs = [];
  world = await createWorld('shop', CONFIG, {
    says: { web: 'hello' },
    bases: { 'postgres:17': OLD, 'mocks/postgres:1': MOCK },
    answer: (spec) => {
      specs.push(spec);
      return { kind: 'exited', code: 0 };
    },
  });
  await world.live('qa', await world.git('rev-parse', 'main'));
});
afterEach(() => world.end());

test('parts are pinned, told of, and mocked where the environment says so; another digest asks anew', async () => {
  expect(specs).toMatchObject([
    {
      env: { TOWPATH_POSTGRES_HOST: 'postgres', TOWPATH_POSTGRES_PORT: '5432', DATABASE_URL: expect.any(String) },
      beside: [
        {
          name: 'postgres',
          image: { reference: `docker.io/library/postgres@${OLD}` },
          env: { POSTGRES_PASSWORD: 'test' },
        },
      ],
    },
    { beside: [{ name: 'postgres', port: 5433, image: { reference: `docker.io/mocks/postgres@${MOCK}` } }] },
  ]);
  expect(await world.useCases.bases.list('shop')).toMatchObject([
    { reference: 'mocks/postgres:1', services: ['web'] },
    { reference: 'postgres:17', digest: OLD, services: ['web'] },
  ]);
  world.bases['postgres:17'] = NEW;
  await world.useCases.bases.refresh({ project: 'shop' }, 'ana');
  const next = await world.push({ files: { 'README.md': 'the same artifact' } });
  await world.live('qa', next);
  expect(specs.map(({ beside }) => beside?.[0]?.image.reference.split('@')[1])).toEqual([OLD, MOCK, NEW, MOCK]);
}, 120_000);

test('a part that is nowhere is told before anything is built', async () => {
  const config = `project: shop\n${CONFIG.replace('postgres:17', 'postgres:71')}`;
  const commit = await world.push({ branch: 'typo', from: 'main', files: { 'towpath.yaml': config } });
  const problem = await until(
    async () => (await world.useCases.releases.show('shop', commit).catch(() => null))?.problem ?? null,
  );
  expect(problem).toMatchObject({
    code: 'check.no-part',
    what: 'The check "integration" of "web" wants postgres:71 beside it, which is not in its registry.',
  });
});
