import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';

import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer } from './testing/server.ts';
import { smallShop } from './testing/small-shop.ts';
import { type Story, storyOf } from './testing/story.ts';

let server: TestServer;
let repository: TestRepository;
let story: Story;
const project = 'upon-shop';

beforeAll(async () => {
  [server, repository] = await Promise.all([startServer(), createRepository()]);
  story = storyOf(server, project);
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await repository.remove();
});

test('the image of a base service lies under what is built upon it, which alone runs', async () => {
  const first = await repository.commit('Upon the house', shop('first'));
  await server.client.call('project.add', { body: { url: repository.url } });
  expect(await whatWebSays(first)).toBe('first');
  const [house, web] = [await layersOf(first, 'house'), await layersOf(first, 'web')];
  expect(web.slice(0, house.length)).toEqual(house);
  expect(web).toHaveLength(house.length + 1);

  const second = await repository.commit('Another house', shop('second'));
  expect(await whatWebSays(second)).toBe('second');
  const [newHouse, newWeb] = [await layersOf(second, 'house'), await layersOf(second, 'web')];
  expect(newWeb.slice(0, newHouse.length)).toEqual(newHouse);
  expect(newHouse.at(-1)).not.toBe(house.at(-1));
  expect(newWeb.at(-1)).toBe(web.at(-1)); // its own layer is the one that there was

  const { stdout } = await server.cli('lineage', second.slice(0, 10));
  expect(stdout).toMatch(/^web .* upon house \(key [0-9a-f]{12}\)$/m);
}, 240_000);

test('`base list` shows the pin under the base, and a refresh that finds it as it was moves nothing', async () => {
  expect((await server.cli('base', 'list')).stdout).toMatch(
    /^towpath:node-22 +sha256:[0-9a-f]{64} +since \S+ by towpath +house$/m,
  );
  const refreshed = await server.cli('base', 'refresh');
  expect(refreshed).toMatchObject({ code: 0, stdout: 'As it was: towpath:node-22\n' });
});

/** `web` says what it finds in the image of `house`, which it is built upon. */
function shop(says: string): Record<string, string> {
  const files = smallShop({ project, node: '{ start: main.js, from: house }' });
  const house = '  house: { path: images/house, base: { node: { start: house.js } } }\n';
  return {
    ...files,
    'towpath.yaml': files['towpath.yaml']?.replace('services:\n', `services:\n${house}`) ?? '',
    'images/house/house.js': `module.exports = ${JSON.stringify(says)};\n`,
    'services/web/main.js': [
      "process.once('SIGTERM', () => process.exit());",
      "const says = require('./house.js');",
      "require('node:http').createServer((_, response) => response.end(says)).listen(process.env.PORT);",
      '',
    ].join('\n'),
  };
}

async function whatWebSays(commit: string): Promise<string> {
  const { services } = await story.live('qa', commit);
  expect(services.map(({ service }) => service)).toEqual(['web']);
  return (await fetch(services[0]?.url ?? '')).text();
}

const Manifest = z.object({ layers: z.array(z.object({ digest: z.string() })) });

async function layersOf(commit: string, service: string): Promise<string[]> {
  const { services } = await story.release(commit, 'ready');
  const digest = services.find((one) => one.service === service)?.digest ?? '';
  const accept = 'application/vnd.oci.image.manifest.v1+json';
  const answer = await fetch(`${server.client.server}/v2/${project}/${service}/manifests/${digest}`, {
    headers: { authorization: `Bearer ${server.token}`, accept },
  });
  return Manifest.parse(await answer.json()).layers.map((layer) => layer.digest);
}
