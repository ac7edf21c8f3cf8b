import { afterAll, beforeAll, expect, test } from 'vitest';

import { readCloudEvent } from '../../notify/testing/cdevents.ts';
import { type Receiver, startReceiver } from '../../notify/testing/receiver.ts';
import { until } from '../testing/until.ts';
import { createWorld, type World } from '../testing/world.ts';
import { collectMessages } from './collect.ts';
import { deliverMessages } from './deliver.ts';

const config = (url: string) => `
services:
  web: { path: services/web, build: text, checks: { scan: { run: test } } }
  api: { path: services/api, build: text }
environments:
  preview: { on: { branch: "feature/*" }, ephemeral: { ttl: 1d }, deploy: stage, settle: 0ms }
  qa: { on: { merge: main }, gates: [scan], deploy: stage, settle: 0ms }
notify:
  programs: { cdevents: { url: "${url}/sink" }, branches: "**", environments: [preview, qa] }
  people: { webhook: { url: "${url}/people", secret: env:HOOK }, environments: [qa] }
`;

let world: World;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
  world = await createWorld('shop', config(receiver.url), { says: { web: 'hello', api: 'api' } });
  Object.assign(world.env, { HOOK: 'a secret' });
  await world.live('qa', await world.git('rev-parse', 'main'));
}, 120_000);
afterAll(async () => {
  await world.end();
  await receiver.close();
});

test('each fact of the delivery is told as a CDEvent that its schema accepts, once, and in its chain', async () => {
  const first = await events();
  expect(wordsOf(first)).toEqual([
    'artifact.packaged api',
    'artifact.packaged web',
    'artifact.published api',
    'artifact.published web',
    'branch.created main',
    'environment.created shop/qa',
    'pipelinerun.finished success',
    'service.deployed shop/api',
    'service.deployed shop/web',
    'testsuiterun.finished success',
  ]);
  const ofMain = first.filter(({ type }) => /^(artifact|service|testsuite|pipeline)/.test(type));
  expect(new Set(ofMain.map(({ chain }) => chain)).size).toBe(1);
  expect(await events()).toEqual([]);

  const next = await world.push({ says: { web: 'another' } });
  await world.live('qa', next);
  const upgraded = await events();
  expect(wordsOf(upgraded)).toEqual([
    'artifact.packaged web',
    'artifact.published web',
    `change.merged ${next}`,
    'pipelinerun.finished success',
    'service.upgraded shop/web',
    'testsuiterun.finished success',
  ]);
  const image = upgraded.find(({ type }) => type === 'artifact.published')?.body.subject.id ?? '';
  expect(image).toMatch(/^pkg:oci\/web@sha256%3A[0-9a-f]{64}\?repository_url=/);
  expect(upgraded.find(({ type }) => type === 'service.upgraded')?.body.subject.content).toEqual({
    environment: { id: 'shop/qa' },
    artifactId: image,
  });
});

test('what fails and is rolled back, what people roll back and stop, and what comes and goes with a branch', async () => {
  const broken = await world.push({ says: { web: 'broken by speed' } });
  await world.promotion('qa', broken, 'rolled-back');
  const failed = await events();
  expect(wordsOf(failed)).toEqual(
    expect.arrayContaining(['pipelinerun.finished failure', 'service.rolledback shop/web', `change.merged ${broken}`]),
  );
  expect(receiver.taken.splice(0).map(({ path }) => path)).toEqual(['/people']); // who hear of what broke, and of no event

  const { useCases, project } = world;
  const answer = await useCases.environments.rollback({ project, environment: 'qa' }, 'olga');
  await world.reaches('promotion' in answer ? answer.promotion.id : '', 'live');
  expect(wordsOf(await events())).toEqual(['pipelinerun.finished success', 'service.rolledback shop/web']);

  await useCases.environments.stop(project, 'qa', undefined, 'olga');
  await until(async () => ((await world.environment('qa')).current === null ? true : null));
  expect(wordsOf(await events())).toEqual(['service.removed shop/api', 'service.removed shop/web']);

  await world.push({ branch: 'feature/x', from: 'main', says: { web: 'sound' } });
  const preview = await until(async () => {
    const all = await useCases.environments.list(project);
    return all.find(({ name, current }) => name.startsWith('preview') && current !== null)?.name ?? null;
  });
  expect(wordsOf(await events())).toEqual(
    expect.arrayContaining([
      'branch.created feature/x',
      `environment.created shop/${preview}`,
      'service.deployed shop/api',
      'service.deployed shop/web',
    ]),
  );
  await world.git('branch', '-D', 'feature/x');
  await world.poll();
  await until(async () => (await useCases.environments.list(project)).every(({ name }) => name !== preview) || null);
  expect(wordsOf(await events())).toEqual([
    'branch.deleted feature/x',
    `environment.deleted shop/${preview}`,
    'service.removed shop/api',
    'service.removed shop/web',
  ]);
});

/** What programs have been told since; each event was judged by its schema. */
async function events() {
  await collectMessages(world.house);
  await deliverMessages(world.house, new AbortController().signal);
  const told = receiver.taken.filter(({ path }) => path === '/sink').map((taken) => readCloudEvent(taken).body);
  receiver.taken.splice(0, Infinity, ...receiver.taken.filter(({ path }) => path !== '/sink'));
  return told.map((body) => {
    const type = /^dev\.cdevents\.(\w+\.\w+)\./.exec(body.context.type)?.[1] ?? body.context.type;
    return { type, body, chain: body.context['chainId'] };
  });
}

function wordsOf(told: Awaited<ReturnType<typeof events>>): string[] {
  const nameOf = ({ subject }: (typeof told)[number]['body']): string => {
    const { outcome } = subject.content;
    return typeof outcome === 'string' ? outcome : (/^pkg:oci\/([^@]+)/.exec(subject.id)?.[1] ?? subject.id);
  };
  return told.map(({ type, body }) => `${type} ${nameOf(body)}`).toSorted();
}
