import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { debianRegistryHost } from '../tools/test-machine/machine.ts';
import { isDigest } from '../src/lib/digest.ts';
import { createRegistryClient } from '../src/registry/client/client.ts';
import { parseKeepTag } from '../src/registry/keep-tag.ts';
import type { Registry } from '../src/registry/registry.ts';
import { isWhole } from '../src/registry/whole-image.ts';
import { openStore, type Store } from '../src/store/database.ts';
import { embeddedUrl } from './testing/kill/stage.ts';
import { openWorld, type World } from './testing/kill/world.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program } from './testing/small-shop.ts';
import { storyOf } from './testing/story.ts';

/*
 * What a promotion does outside of the store and of this machine, killed in the midst of one step: images that are copied to a
 * registry, a commit in a repository of manifests, and a program that changes a database.
 */

const TIMEOUT_MS = 300_000;

let host: string;
let registry: Registry;
let world: World;
let server: TestServer;
let store: Store;
let faults: Record<string, string>;
let manifests: TestRepository;
const repositories: TestRepository[] = [];

beforeAll(async () => {
  host = await debianRegistryHost();
  registry = createRegistryClient({ host });
  [world, manifests] = await Promise.all([openWorld(), createRepository()]);
  await manifests.git('config', 'receive.denyCurrentBranch', 'ignore');
  await manifests.commit('Manifests', { 'web.yaml': 'image: shop/web:v0\n' });
  server = await startServer();
  faults = { TOWPATH_FAULT: `@${join(server.data, 'armed')}`, TOWPATH_CARE_MS: String(3_600_000) };
  await server.restart(faults);
  store = await openStore(await embeddedUrl(server.data), { maxConnections: 1 });
});

afterAll(async () => {
  await store.close();
  await server.dispose();
  await world.close();
  await Promise.all([manifests, ...repositories].map((repository) => repository.remove()));
});

describe('to a registry of its own, by a repository of manifests', () => {
  const POINTS = [
    'copies:blob',
    'copies:copied',
    'manifests:asked',
    'manifests:taken',
    'manifests:pushed',
    'manifests:written',
  ];
  const place = `killed-${process.pid}`;
  let releases: readonly string[];
  beforeAll(async () => {
    releases = await made(
      'moved',
      `
  prod:
    on: manual
    accepts: any
    registry: "${host}/${place}"
    settle: 0s
    deploy: { gitops: { repository: "${manifests.url}", services: { web: { file: web.yaml, image: image } } } }
`,
    );
  });

  test.each(POINTS.map((point, turn) => ({ point, turn })))(
    'killed at $point, it is live: the image lies there whole and under its name, and the commit stands once',
    { timeout: TIMEOUT_MS },
    async ({ point, turn }) => {
      const release = releases[turn % 2] ?? '';
      const before = await commitsOf(manifests);
      await killedAt(point, () => promote('moved', 'prod', release));
      await store.pool.query('update towpath.manifest_branch set until = clock_timestamp()'); // the lease of the dead has run out
      const { services } = await storyOf(server, 'moved').live('prod', release);
      const digest = services[0]?.digest;
      if (!isDigest(digest)) expect.unreachable();
      expect((await commitsOf(manifests)) - before).toBe(1);
      expect(await manifests.git('show', 'main:web.yaml')).toContain(`@${digest}`);
      expect(await isWhole(registry, `${place}/moved/web`, digest)).toBe(true);
      const kept = (await registry.tags(`${place}/moved/web`)).filter((tag) => parseKeepTag(tag) !== null);
      const names = await Promise.all(
        kept.map(async (tag) => (await registry.manifest(`${place}/moved/web`, tag))?.digest),
      );
      expect(names).toContain(digest);
    },
  );
});

describe('with a migration', () => {
  const UNSEEN = { state: 'failed', headline: expect.stringContaining('how it ended was not seen') as string };
  let releases: readonly string[];
  /** How often it has run since the promotion was asked for. */
  let runs = 0;
  beforeAll(async () => {
    world.behave(() => {
      runs += 1;
      return 200;
    });
    releases = await made(
      'migrated',
      '\n  qa: { on: manual, accepts: any, deploy: process, settle: 0s }\n',
      '\n    migrate: { run: node migrate.js }',
    );
    await promote('migrated', 'qa', releases[0] ?? '');
    await storyOf(server, 'migrated').live('qa', releases[0] ?? '');
  });

  test.each([
    { point: 'wanted', ran: 1, ends: { state: 'live' } },
    { point: 'begun', ran: 0, ends: UNSEEN },
    { point: 'ended', ran: 1, ends: UNSEEN },
    { point: 'recorded', ran: 1, ends: { state: 'live' } },
  ])(
    'killed when it is $point, it has run $ran times, and the promotion is $ends.state',
    { timeout: TIMEOUT_MS },
    async ({ point, ran, ends }) => {
      const wish = await other();
      await killedAt(`migrations:${point}`, () => promote('migrated', 'qa', wish));
      await ended(wish, ends);
      expect(runs).toBe(ran);
    },
  );

  test('killed while it runs, it is not begun again', { timeout: TIMEOUT_MS }, async () => {
    const wish = await other();
    let goOn = (): void => undefined;
    const held = new Promise<number>((resolve) => (goOn = () => resolve(200)));
    world.behave(() => {
      runs += 1;
      return held;
    });
    await promote('migrated', 'qa', wish);
    await until(() => (runs > 0 ? true : null));
    await server.restart(faults);
    goOn();
    await ended(wish, UNSEEN);
    expect(runs).toBe(1);
  });

  /** The release that does not run there now; it is counted anew. */
  const other = async (): Promise<string> => {
    const { current } = await storyOf(server, 'migrated').environment('qa');
    runs = 0;
    return releases.find((release) => release !== current?.commit) ?? '';
  };

  /** What runs there is what it was asked for, or what ran before; and nothing waits for a person any more. */
  const ended = async (release: string, ends: object): Promise<void> => {
    const story = storyOf(server, 'migrated');
    const { history, current } = await until(async () => {
      const detail = await story.environment('qa');
      return detail.history[0]?.release.commit === release && detail.history[0].endedAt !== null ? detail : null;
    });
    expect(history[0]).toMatchObject(ends);
    expect(current?.commit === release).toBe(history[0]?.state === 'live');
    await server.client.call('environment.resume', { params: { project: 'migrated', environment: 'qa' } });
  };
});

/** A project with two releases, built. */
async function made(project: string, environments: string, service = ''): Promise<readonly string[]> {
  const repository = await createRepository();
  repositories.push(repository);
  const config = `project: ${project}
services:
  web:
    path: web
    build: { node: { start: main.js } }
    port: 3000${service}
environments:${environments}`;
  const migrate = `fetch('${world.url}/migration/now').then(() => process.exit(0));\n`;
  const commits: string[] = [];
  for (const says of ['one', 'two']) {
    commits.push(
      await repository.commit(says, {
        'towpath.yaml': config,
        'web/main.js': program(says),
        'web/migrate.js': migrate,
      }),
    );
    if (says === 'one') await server.client.call('project.add', { body: { url: repository.url } });
    await storyOf(server, project).release(commits.at(-1) ?? '', 'ready');
  }
  return commits;
}

async function promote(project: string, environment: string, release: string): Promise<void> {
  await server.client.call('promotion.request', { params: { project, environment }, body: { release } });
}

/** A server that dies of it may take the answer with it. */
async function killedAt(point: string, work: () => Promise<void>): Promise<void> {
  await writeFile(join(server.data, 'armed'), `${point}:done`);
  await work().catch(() => undefined);
  await until(
    () => (server.process.signalCode === 'SIGKILL' ? true : null),
    120_000,
    () => `${point} was not passed`,
  );
  await server.restart(faults);
}

async function commitsOf(repository: TestRepository): Promise<number> {
  return Number(await repository.git('rev-list', '--count', 'main'));
}
