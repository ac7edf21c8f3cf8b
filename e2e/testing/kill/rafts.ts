import { randomBytes } from 'node:crypto';

import { debianRegistryHost } from '../../../tools/test-machine/machine.ts';
import type { Digest } from '../../../src/lib/digest.ts';
import { createRegistryClient } from '../../../src/registry/client/client.ts';
import { pushImage, testImage } from '../../../src/registry/testing/images.ts';
import { createRepository, type TestRepository } from '../repository.ts';
import { until } from '../server.ts';
import { finished, type Operation } from './operations.ts';
import type { Stage } from './stage.ts';

const RAFTS = 'rafts';

/** `deck` stands upon `hull`, that upon `keel`, and that upon an image of somebody else's; `sail` is built by another CI. */
const config = (place: string): string => `project: ${RAFTS}
services:
  keel: { path: keel, base: { node: { start: a.js, from: "${place}/float:1" } } }
  hull: { path: hull, base: { node: { start: a.js, from: keel } } }
  deck: { path: deck, build: { node: { start: a.js, from: hull } } }
  sail: { path: sail, build: { external: { image: "${place}/sail" } } }
environments:
  qa: { on: manual, deploy: process }
`;

/** A project whose releases only have to become ready. */
export async function setRafts(stage: Stage): Promise<void> {
  await pushFloat(stage);
  const place = await placeOf(stage);
  const commit = await stage.rafts.commit('rafts', {
    'towpath.yaml': config(place),
    ...Object.fromEntries(['keel', 'hull', 'deck', 'sail'].map((name) => [`${name}/a.js`, name])),
  });
  await stage.client().call('project.add', { body: { url: stage.rafts.url } });
  await taken(stage, commit);
  await report(stage, commit, await pushed('sail', place, 'sail'));
  await finished(stage, () => isReady(stage, commit));
}

/** What a CI pushed and reports of a commit that was taken in. */
export const reportBuilt: Operation = {
  name: 'a report of another CI',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const says = randomBytes(8).toString('hex');
    const digest = await pushed('sail', await placeOf(stage), says);
    const commit = await stage.rafts.commit(says, { 'sail/a.js': says });
    await stage.wake();
    await taken(stage, commit);
    await report(stage, commit, digest).catch(() => undefined); // the answer may go with the server
    return () => isReady(stage, commit);
  },
  tidy: () => Promise.resolve(),
};

/** The CI is faster than the poll. */
export const reportEarly: Operation = {
  name: 'a report before its commit is seen',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const says = randomBytes(8).toString('hex');
    const digest = await pushed('sail', await placeOf(stage), says);
    await letPoll(stage, false);
    const commit = await stage.rafts.commit(says, { 'sail/a.js': says });
    await report(stage, commit, digest).catch(() => undefined);
    return async () => {
      if ((await reportOf(stage, commit)) === 'waiting') {
        await letPoll(stage, true);
        await stage.wake();
      }
      return isReady(stage, commit);
    };
  },
  tidy: () => Promise.resolve(),
};

/** The lowest base changes: all that stands upon it is built anew, one after the other. */
export const changeBase: Operation = {
  name: 'a push with another base',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const says = randomBytes(8).toString('hex');
    const commit = await stage.rafts.commit(says, { 'keel/a.js': says });
    await stage.wake();
    return () => isReady(stage, commit);
  },
  tidy: () => Promise.resolve(),
};

/** The outside image that the lowest base stands upon has moved, and somebody has the pin follow. */
export const refreshBase: Operation = {
  name: 'a refresh of a base image',
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const commit = await stage.rafts.git('rev-parse', 'HEAD');
    const before = (await editionsOf(stage, commit)).length;
    await pushFloat(stage);
    await stage
      .client()
      .call('base.refresh', { params: { project: RAFTS }, body: {} })
      .catch(() => undefined);
    return async () => {
      const states = await editionsOf(stage, commit);
      return states.length > before && states.every((state) => state === 'ready');
    };
  },
  tidy: () => Promise.resolve(),
};

const crews = new WeakMap<Stage, TestRepository>();

/** The home names a repository that holds more services: it is watched from now on, and has its places. */
export const nameMember: Operation = {
  name: 'a member that is named',
  async prepare(stage) {
    const crew = await createRepository();
    crews.set(stage, crew);
    const says = randomBytes(8).toString('hex');
    const services = 'services: { oar: { path: oar, build: { node: { start: a.js } } } }';
    await crew.commit(says, { 'towpath.yaml': `project: ${RAFTS}\n${services}\n`, 'oar/a.js': says });
  },
  async perform(stage) {
    const crew = await crews.get(stage)?.git('rev-parse', 'HEAD');
    const named = `${config(await placeOf(stage))}repositories: { crew: { url: "${crews.get(stage)?.url}" } }\n`;
    const home = await stage.rafts.commit('a crew', { 'towpath.yaml': named });
    await stage.wake();
    return async () => (await isReady(stage, home)) && (await isReady(stage, crew ?? ''));
  },
  async tidy(stage) {
    const commit = await stage.rafts.commit('no crew', { 'towpath.yaml': config(await placeOf(stage)) });
    await stage.wake();
    await finished(stage, async () => (await isReady(stage, commit)) && !(await isThere(stage, 'qa.crew')));
    await crews.get(stage)?.remove();
  },
};

async function isThere({ store }: Stage, environment: string): Promise<boolean> {
  const found = await store.db
    .selectFrom('environment')
    .select('id')
    .where('name', '=', environment)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  return found !== undefined;
}

const places = new WeakMap<Stage, string>();

/** Each stage has repositories of its own in the registry that all share. */
async function placeOf(stage: Stage): Promise<string> {
  const place = places.get(stage) ?? `${await debianRegistryHost()}/rafts-${randomBytes(6).toString('hex')}`;
  places.set(stage, place);
  return place;
}

async function pushFloat(stage: Stage): Promise<Digest> {
  return pushed('float', await placeOf(stage), randomBytes(8).toString('hex'), '1');
}

async function pushed(name: string, place: string, says: string, tag?: string): Promise<Digest> {
  const [host = '', folder = ''] = place.split('/');
  const image = await testImage([{ says }]);
  await pushImage(createRegistryClient({ host }), `${folder}/${name}`, image, tag);
  return image.digest;
}

async function report(stage: Stage, commit: string, digest: Digest): Promise<void> {
  const body = { service: 'sail', commit, digest };
  await stage.client().call('artifact.report', { params: { project: RAFTS }, body });
}

async function taken(stage: Stage, commit: string): Promise<void> {
  await until(async () => ((await editionsOf(stage, commit)).length > 0 ? true : null));
}

async function isReady(stage: Stage, commit: string): Promise<boolean> {
  const states = await editionsOf(stage, commit);
  return states.length > 0 && states.every((state) => state === 'ready');
}

async function editionsOf({ store }: Stage, commit: string): Promise<string[]> {
  const rows = await store.db.selectFrom('release').select('state').where('commit_sha', '=', commit).execute();
  return rows.map(({ state }) => state);
}

async function reportOf({ store }: Stage, commit: string): Promise<string | null> {
  const row = await store.db
    .selectFrom('artifact_report')
    .select('state')
    .where('commit_sha', '=', commit)
    .executeTakeFirst();
  return row?.state ?? null;
}

/** A repository that somebody has a lease on is not polled. */
async function letPoll({ store }: Stage, may: boolean): Promise<void> {
  const until = may ? null : new Date('2100-01-01');
  await store.db
    .updateTable('repository')
    .set({ lease_until: until })
    .where('project_id', 'in', (eb) => eb.selectFrom('project').select('id').where('name', '=', RAFTS))
    .execute();
}
