import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { createEmbeddedRegistry } from '../src/registry/embedded/embedded.ts';
import { A_DAY_AGO, age, nothing } from '../src/registry/embedded/testing/age.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer } from './testing/server.ts';
import { smallShop } from './testing/small-shop.ts';
import { type Story, storyOf } from './testing/story.ts';

const project = 'functional-shop';
const folder = 'functions/thumbnails';

let server: TestServer;
let repository: TestRepository;
let story: Story;

beforeAll(async () => {
  [server, repository] = await Promise.all([startServer(), createRepository()]);
  story = storyOf(server, project);
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await repository.remove();
});

test('functions go from a push to the last environment by reference, and a sweep leaves their zip', async () => {
  const commit = await repository.commit('Thumbnails', files());
  await server.client.call('project.add', { body: { url: repository.url } });
  const release = await story.release(commit, 'ready');
  const digest = release.services.find(({ service }) => service === 'thumbnails')?.digest ?? '';
  expect((await server.cli('logs', commit.slice(0, 10), 'thumbnails')).stdout).toMatch(
    /functions\.zip: thumbnail, report; \d+ bytes, sha256:[0-9a-f]{64}, CodeSha256 \S{44}[^]*Check "unit" passed/,
  );
  await server.cli('promote', commit.slice(0, 10), 'qa', '--wait');
  await repository.git('tag', 'v1');
  const prod = await story.live('prod', commit);
  expect(prod.services.map(({ service, runs }) => [service, runs])).toEqual([
    ['thumbnails', false],
    ['web', true],
  ]);
  expect(prod.services[0]?.digest).toBe(digest);
  expect(prod.history[0]?.headline).toContain('not run here: thumbnails');
  expect((await server.cli('status')).stdout).toContain('prod: thumbnails is promoted, and not run here');
  expect((await server.cli('lineage', digest)).stdout).toMatch(/prod +runs now/);

  await server.kill();
  const directory = join(server.data, 'registry');
  await age(directory);
  const embedded = await createEmbeddedRegistry({ directory, host: 'registry.test' });
  const registry = embedded.registry();
  const before = await registry.tags(`${project}/thumbnails`);
  await embedded.sweepContent({ kept: nothing(), beforeMs: A_DAY_AGO() });
  expect(await registry.tags(`${project}/thumbnails`)).toEqual(before);
  const manifest = await registry.manifest(`${project}/thumbnails`, 'env-prod');
  expect(manifest?.digest).toBe(digest);
  const { layers } = JSON.parse(String(manifest?.bytes)) as { layers: { digest: `sha256:${string}` }[] };
  const zip = Buffer.concat(
    await (await registry.readBlob(`${project}/thumbnails`, layers[0]?.digest ?? 'sha256:')).toArray(),
  );
  expect(`sha256:${createHash('sha256').update(zip).digest('hex')}`).toBe(layers[0]?.digest);
  expect(await namesIn(zip)).toEqual(['node_modules/ms/index.js', 'report.js', 'thumbnail.js']);
}, 300_000);

/** As `unzip` sees it, of packages one file. */
async function namesIn(zip: Buffer): Promise<string[]> {
  const place = await mkdtemp(join(tmpdir(), 'towpath-functions-'));
  try {
    await writeFile(join(place, 'functions.zip'), zip);
    const { stdout } = await promisify(execFile)('unzip', ['-Z1', join(place, 'functions.zip')]);
    return stdout.split('\n').filter((name) => name.endsWith('.js'));
  } finally {
    await rm(place, { recursive: true });
  }
}

function files(): Record<string, string> {
  const shop = smallShop({ project });
  const thumbnails = [
    '  thumbnails:',
    `    path: ${folder}`,
    '    build: { serverless: {} }',
    '    checks: { unit: { run: node --test test/thumbnail.test.mjs, during: build } }',
    'environments:',
  ];
  const ms = {
    version: '2.1.3',
    integrity: 'sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA==',
  };
  const root = { name: 'thumbnails', version: '1.0.0', dependencies: { ms: '2.1.3' } };
  return {
    ...shop,
    'towpath.yaml': (shop['towpath.yaml'] ?? '')
      .replace('environments:', thumbnails.join('\n'))
      .replace('on: { merge: main }', 'on: manual, accepts: any'),
    [`${folder}/serverless.yml`]: [
      'service: thumbnails',
      'provider: { name: aws, runtime: nodejs22.x, environment: { STAGE: "${sls:stage}" } }',
      "package: { patterns: ['!test/**'] }",
      'functions:',
      '  thumbnail: { handler: thumbnail.handler }',
      '  report: { handler: report.handler }',
      '',
    ].join('\n'),
    [`${folder}/package.json`]: JSON.stringify(root),
    [`${folder}/package-lock.json`]: JSON.stringify({
      ...root,
      lockfileVersion: 3,
      packages: { '': root, 'node_modules/ms': ms },
    }),
    [`${folder}/thumbnail.js`]: "exports.handler = async () => require('ms')('2 days');\n",
    [`${folder}/report.js`]: 'exports.handler = async () => 1;\n',
    [`${folder}/test/thumbnail.test.mjs`]: [
      "import assert from 'node:assert';",
      "import { test } from 'node:test';",
      "import { handler } from '../thumbnail.js';",
      "test('two days', async () => assert.equal(await handler(), 172_800_000));",
      "test('it is where Lambda has it', () => assert.equal(process.env.LAMBDA_TASK_ROOT, '/var/task'));",
      '',
    ].join('\n'),
  };
}
