import { afterAll, beforeAll, expect, test } from 'vitest';

import { debianRegistryHost } from '../../tools/test-machine/machine.ts';
import { isDigest, type Digest } from '../lib/digest.ts';
import { createRegistryClient } from '../registry/client/client.ts';
import { RegistryError } from '../registry/error.ts';
import { keepTag, parseKeepTag } from '../registry/keep-tag.ts';
import type { Registry } from '../registry/registry.ts';
import { startClosedRegistry } from '../registry/testing/debian-registry.ts';
import { readLog } from '../store/log-store.ts';
import { careForCopies } from './care/copies.ts';
import { findMissingImages } from './care/missing-images.ts';
import { deliverStatements } from './statements/deliver.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const never = new AbortController().signal;

let world: World;
let registry: Registry;
/** Where production takes its images from: a place of this test alone. */
let place: string;
let repository: string;
let closed: Awaited<ReturnType<typeof startClosedRegistry>>;

beforeAll(async () => {
  const host = await debianRegistryHost();
  // bcrypt of `canary-secret`, which nobody here knows
  closed = await startClosedRegistry({
    htpasswd: 'robot:$2b$05$abcdefghijklmnopqrstuu3PYrq6m/qxbNlTuN4B34JSamOsjZkKu',
  });
  registry = createRegistryClient({ host });
  const prefix = `copies-${process.pid}`;
  place = `${host}/${prefix}`;
  repository = `${prefix}/shop/web`;
  world = await createWorld(
    'shop',
    `services:
  web: { path: services/web, build: { text: {} } }
environments:
  qa: { on: { merge: main }, deploy: { stage: {} }, settle: 0s }
  prod: { on: manual, from: qa, deploy: { stage: {} }, settle: 0s, registry: "${place}", keep: 1 }
  closed: { on: manual, from: qa, deploy: { stage: {} }, settle: 0s, registry: "${closed.host}" }
`,
    { says: { web: 'first' } },
  );
});
afterAll(async () => {
  await world.end();
  await closed.close();
});

test('an environment takes its images from its own registry: copied before anything is touched, and said', async () => {
  const first = await live('first');
  expect((await registry.manifest(repository, first))?.digest).toBe(first);
  const [promotion] = (await world.environment('prod')).history;
  expect(promotion?.headline).toContain(`images from ${place}`);
  const log = await logOf(promotion?.id ?? '');
  expect(log).toContain(`is copied to ${place}/shop/web`);
  expect(log).toContain('read back whole');
});

test('what is signed later follows its image, and what is taken away there comes back', async () => {
  const second = await live('second');
  const { house } = world;
  const ours = await until(async () => {
    await deliverStatements(house, never);
    const said = await house.registry.referrers('shop/web', second);
    return said.length > 2 ? said : null;
  });
  await careForCopies(house, never);
  expect((await registry.referrers(repository, second)).map(({ digest }) => digest).toSorted()).toEqual(
    ours.map(({ digest }) => digest).toSorted(),
  );
  await registry.deleteManifest(repository, second);
  await findMissingImages(house);
  expect((await world.environment('prod')).missing).toMatchObject([{ repository: `${place}/shop/web` }]);
  await careForCopies(house, never);
  await findMissingImages(house);
  expect((await world.environment('prod')).missing).toEqual([]);
});

test('a rollback finds what it needs there, also what was taken away; what is beyond the window loses its name', async () => {
  const second = await current();
  const third = await live('third');
  await registry.deleteManifest(repository, second);
  const back = await world.useCases.environments.rollback({ project: 'shop', environment: 'prod' }, 'olga');
  if (back.kind !== 'started') throw new Error('It was a dry run.');
  await world.reaches(back.promotion.id, 'live');
  expect(await current()).toBe(second);
  expect(await logOf(back.promotion.id)).toContain('read back whole');
  const removed: string[] = [];
  const deleting: Registry = { ...registry, deleteManifest: async (_, tag) => void removed.push(tag) };
  await careForCopies(
    { ...world.house, registryAt: (host) => (host === 'registry.test' ? world.house.registry : deleting) },
    never,
  );
  expect(removed).toHaveLength(1); // of the first release: the second runs, and the third can be rolled back to
  const tags = await registry.tags(repository);
  expect(tags).toEqual(expect.arrayContaining(removed));
  expect((await registry.manifest(repository, third))?.digest).toBe(third);
});

test('a registry that takes no name away alone is asked once for all that are over', async () => {
  const digest = await current();
  const [kept = ''] = (await registry.tags(repository)).filter((tag) => parseKeepTag(tag) !== null);
  const slug = parseKeepTag(kept)?.slug ?? '';
  for (const release of [900_001, 900_002, 900_003]) await registry.tag(repository, digest, keepTag(slug, release));
  let asked = 0;
  const unable: Registry = {
    ...registry,
    deleteManifest: () => {
      asked += 1;
      return Promise.reject(new RegistryError({ code: 'registry.unsupported', what: 'It cannot.', fix: 'None.' }));
    },
  };
  await careForCopies(
    { ...world.house, registryAt: (host) => (host === 'registry.test' ? world.house.registry : unable) },
    never,
  );
  expect(asked).toBe(1);
});

test('a registry that lets nobody in fails the promotion before anything is touched', async () => {
  const refused = await world.request('closed', 'main');
  const { headline } = await world.reaches(refused.id, 'failed');
  expect(headline).toContain('Failed at tagging');
  expect(headline).toContain('Nothing that runs there was touched.');
  expect(world.runs('closed')).toEqual({});
});

/** @returns the digest */
async function live(says: string): Promise<Digest> {
  const commit =
    says === 'first' ? (await world.git('rev-parse', 'main')).trim() : await world.push({ says: { web: says } });
  await world.live('qa', commit);
  const { id } = await world.request('prod', commit);
  await world.reaches(id, 'live');
  return current();
}

async function current(): Promise<Digest> {
  const digest = (await world.environment('prod')).services[0]?.digest;
  return isDigest(digest) ? digest : expect.unreachable();
}

async function logOf(promotionId: string): Promise<string> {
  const { store } = world.house;
  const { log_id: logId } = await store.db
    .selectFrom('promotion')
    .select('log_id')
    .where('id', '=', promotionId)
    .executeTakeFirstOrThrow();
  return (await readLog(store.db, logId, 0)).lines.join('\n');
}
