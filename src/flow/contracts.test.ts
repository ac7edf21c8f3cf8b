import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { RunResult, TaskSpec } from '../container/runtime.ts';
import type { PromotionState } from '../path/promotion.ts';
import type { ForgeRepository } from '../git/testing/forge.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

const path = `
services:
  web: { path: services/web, build: text, checks: { expects: { run: write, pacts: pacts } } }
repositories: { api: { url: API } }
environments:
  qa: { on: { merge: main }, gates: [can-i-deploy], deploy: stage, settle: 0ms }
  dev: { on: manual, accepts: any, gates: [can-i-deploy], deploy: stage, settle: 0ms }
`;
const members = `
project: shop
services:
  api: { path: services/api, build: text, checks: { contracts: { pact: { port: 3000 } } } }
`;

let world: World;
let api: ForgeRepository;
/** What a provider answers that says so. */
let answers = (says: string): string => says;

/** What web says is what it expects tea to be; what api says is what it answers. */
beforeAll(async () => {
  world = await createWorld('shop', path.replace(/^repositories.*\n/m, ''), {
    says: { web: '{"price":4}' },
    answer: (spec, { signal, says }) =>
      spec.serves === undefined ? write(spec, says()) : serve(spec, answers(says()), signal),
  });
  api = await world.forge.createRepository('api');
  await api.commit({ files: { 'towpath.yaml': members, 'services/api/text': '{"price":4}' } });
}, 120_000);
afterAll(() => world.end());

test('a consumer waits for whom it expects something of, and goes in by itself', async () => {
  const first = await world.git('rev-parse', 'main');
  await told('qa', first, 'waiting', /^web expects something of api, which does not run in qa\.$/);

  // nothing expects anything of it yet; once it is there, web goes on by itself
  await nameMember();
  await world.live('qa.api', await api.git('rev-parse', 'main'));
  await world.live('qa', await world.git('rev-parse', 'main'));
});

test('a provider that breaks what runs beside it is refused, and goes in once it is mended', async () => {
  const broken = await push(api, 'api', '{"price":"4"}');
  await told(
    'qa.api',
    broken,
    'refused',
    /^api does not keep to what web of [0-9a-f]{7}, which runs in qa, expects \(contracts\): it breaks what web expects: "the price of tea": \$.price/,
  );
  const mended = await push(api, 'api', '{"price":4,"currency":"EUR"}');
  await world.live('qa.api', mended);
});

test('a consumer that expects more than what runs beside it is refused until that runs there', async () => {
  const wanting = await push(world, 'web', '{"price":4,"stock":7}');
  await told(
    'qa',
    wanting,
    'refused',
    /^api of [0-9a-f]{7}, which runs in qa, does not keep to what web expects \(contracts\): .*"the price of tea": /,
  );
  await world.live('qa.api', await push(api, 'api', '{"price":4,"stock":9}'));
  // the same artifacts, and what they are asked beside is another: it is asked and told anew
  await world.reaches(await world.request('qa', wanting).then(({ id }) => id), 'live');
});

test('who keeps to what is told for each environment, by what runs there in all of its places', async () => {
  const { pacts } = world.useCases;
  const [newest, first] = await pacts.list('shop');
  expect([newest, first]).toMatchObject([
    { consumer: 'web', provider: 'api', interactions: 1 },
    { consumer: 'web', provider: 'api', interactions: 1 },
  ]);
  expect(await pacts.matrix('shop')).toMatchObject([
    {
      environment: 'qa',
      consumer: 'web',
      provider: 'api',
      pact: newest?.digest,
      check: 'contracts',
      verdict: 'passed',
    },
  ]);
});

test('a contract that fails when it is asked again is shown where it was to hold, until it holds again', async () => {
  const head = await api.git('rev-parse', 'main');
  answers = () => '{}';
  await world.useCases.releases.test('shop', head, 'contracts', 'olga');
  const check = expect.stringMatching(/^contracts\/web@[0-9a-f]{7}$/) as string;
  // told of whichever of both came last: that is what made them run together
  await until(async () => ((await world.environment('qa.home')).revoked.length > 0 ? true : null));
  expect((await world.environment('qa.home')).revoked).toMatchObject([{ check, service: 'api', verdict: 'failed' }]);
  answers = (says) => says;
  await world.useCases.releases.test('shop', head, 'contracts', 'olga');
  await until(async () => ((await world.environment('qa.home')).revoked.length === 0 ? true : null));
});

test('what a branch asks otherwise does not count', async () => {
  const branch = await api.commit({
    branch: 'feature/easy',
    from: 'main',
    files: {
      'towpath.yaml': members.replace('port: 3000', 'port: 3000, run: other'),
      'services/api/text': '{"price":4,"stock":1}',
    },
  });
  await world.poll();
  const { id } = await world.request('dev.api', branch);
  await world.reaches(id, 'live'); // nobody is there to be held to
  await world.reaches(await world.request('dev', 'main').then((one) => one.id), 'refused');
  expect(await why('dev')).toContain('main asks contracts of api with another pact');

  const silent = await world.commit({
    branch: 'feature/silent',
    from: 'main',
    files: { 'towpath.yaml': named().replace(', pacts: pacts', '') },
  });
  await world.poll();
  await world.reaches(await world.request('dev', silent).then((one) => one.id), 'refused');
  expect(await why('dev')).toContain('main asks expects of web with another pacts');
});

async function nameMember(): Promise<void> {
  await world.push({ files: { 'towpath.yaml': named() } });
  await until(async () => {
    const [project] = await world.useCases.projects.list();
    return project?.repositories.some(({ name }) => name === 'api') === true ? true : null;
  });
  await world.poll();
}

function named(): string {
  return `project: shop\n${path.replace('API', `file://${api.directory}`)}`;
}

async function why(subject: string): Promise<string> {
  return JSON.stringify(await world.useCases.why('shop', subject));
}

/** What a promotion is told, once it is told so. */
async function told(environment: string, commit: string, state: PromotionState, words: RegExp): Promise<void> {
  let last = '';
  await until(
    async () => {
      const promotion = await world.promotion(environment, commit, state);
      last = promotion.reasons.map(({ what }) => what).join('\n');
      return words.test(last) ? true : null;
    },
    () => Promise.resolve(last),
  );
}

async function push(repository: Pick<ForgeRepository, 'commit'>, service: string, says: string): Promise<string> {
  const made = await repository.commit({ files: { [`services/${service}/text`]: says } });
  await world.poll();
  return made;
}

async function write({ mounts = [] }: TaskSpec, expected: string): Promise<RunResult> {
  const folder = mounts.find(({ to }) => to.endsWith('/pacts'))?.from ?? '';
  const pact = {
    consumer: { name: 'web' },
    provider: { name: 'api' },
    interactions: [
      {
        description: 'the price of tea',
        request: { method: 'GET', path: '/tea' },
        response: {
          status: 200,
          headers: { 'content-type': 'application/json' },
          body: JSON.parse(expected) as unknown,
          matchingRules: { body: { $: { matchers: [{ match: 'type' }] } } },
        },
      },
    ],
    metadata: { pactSpecification: { version: '3.0.0' } },
  };
  await writeFile(join(folder, 'web-api.json'), JSON.stringify(pact));
  return { kind: 'exited', code: 0 };
}

async function serve({ serves }: TaskSpec, says: string, signal: AbortSignal): Promise<RunResult> {
  const server = createServer((_, response) => response.setHeader('content-type', 'application/json').end(says));
  server.listen(serves?.onMachine, '127.0.0.1');
  await once(signal, 'abort');
  server.closeAllConnections();
  server.close();
  signal.throwIfAborted();
  return { kind: 'exited', code: 0 };
}
