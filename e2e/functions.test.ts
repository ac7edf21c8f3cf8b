import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createEmbeddedRegistry } from '../src/registry/embedded/embedded.ts';
import { A_DAY_AGO, age, nothing } from '../src/registry/embedded/testing/age.ts';
import { CANARY_KEYS, startS3Server } from '../src/registry/testing/s3-server.ts';
import { startEmbeddedPostgres } from '../src/store/embedded/postgres.ts';
import { findRustProgram } from '../tools/rust-programs.js';
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

const { path: s3 = '', missing } = findRustProgram('s3s-fs');
if (missing !== undefined) process.stderr.write(`${missing}\n`);

test.runIf(missing === undefined)(
  'with a bucket they go from a branch to the last environment too, and its keys are nowhere to be seen',
  async () => {
    const place = await mkdtemp(join(tmpdir(), 'towpath-keys-'));
    const bucket = await startS3Server(s3, ['zips']);
    try {
      const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey } = CANARY_KEYS;
      await writeFile(join(place, 'keys.json'), JSON.stringify({ AccessKeyId, SecretAccessKey }));
      await server.restart({
        TOWPATH_ZIPS: 's3://zips/of/functions',
        TOWPATH_ZIPS_KEYS: `file:${place}/keys.json`,
        TOWPATH_SECRET_FILES: place,
        AWS_ENDPOINT_URL_S3: bucket.endpoint,
        AWS_REGION: 'eu-central-1',
      });
      await repository.git('switch', '--quiet', '--create', 'feature/bucket');
      const commit = await repository.commit('In a bucket', {
        [`${folder}/report.js`]: 'exports.handler = async () => 2;\n',
      });
      await story.live('feature/bucket', commit);
      const seen = [(await server.cli('promote', commit.slice(0, 10), 'qa', '--wait')).stdout];
      await repository.git('tag', 'v2');
      const prod = await story.live('prod', commit);
      const digest = prod.services.find(({ service }) => service === 'thumbnails')?.digest ?? '';
      for (const words of [
        ['lineage', digest],
        ['logs', commit, 'thumbnails'],
        ['audit', '--json'],
        ['status', '--json'],
        ['doctor'],
      ])
        seen.push(...Object.values(await server.cli(...words)).map(String));
      expect(seen.join('\n')).toMatch(/prod +runs now/);
      const [, zip = ''] = /functions\.zip: [^\n]*?sha256:([0-9a-f]{64})/.exec(seen.join('\n')) ?? [];
      const stored = await readFile(bucket.fileOf('zips', `of/functions/sha256/${zip}.zip`));
      expect(createHash('sha256').update(stored).digest('hex')).toBe(zip);

      expect(await filesWith(project, server.data)).not.toEqual([]); // it does find what is there
      const secret = CANARY_KEYS.secretAccessKey;
      const forms = [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64').replace(/=+$/, '')];
      for (const form of forms) {
        expect(
          [...seen, server.output(), ...(await commandLines()), ...(await rowsOf(server))].join('\n'),
        ).not.toContain(form);
        expect(await filesWith(form, server.data)).toEqual([]);
      }
    } finally {
      await bucket.close();
      await rm(place, { recursive: true });
    }
  },
  120_000,
);

/** Of all processes of this machine but the bucket itself. */
async function commandLines(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => !line.includes('s3s-fs'));
}

/** All that its database holds, as text: what Postgres compresses is found in no file. */
async function rowsOf({ data }: TestServer): Promise<string[]> {
  const guest = await startEmbeddedPostgres({ directory: join(data, 'pg') });
  const client = new pg.Client(guest.url);
  await client.connect();
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      `select quote_ident(schemaname) || '.' || quote_ident(tablename) as name from pg_tables
       where schemaname not in ('pg_catalog', 'information_schema')`,
    );
    expect(tables.length).toBeGreaterThan(30);
    const texts: string[] = [];
    for (const { name } of tables) {
      const { rows } = await client.query<{ text: string }>(`select t::text as text from ${name} t`);
      texts.push(...rows.map(({ text }) => text));
    }
    return texts;
  } finally {
    await client.end();
    await guest.stop();
  }
}

async function filesWith(text: string, directory: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('grep', ['-rlF', '-D', 'skip', '-e', text, directory]).catch(
    (error: { code: unknown; stdout: string }) =>
      error.code === 1 ? { stdout: '' } : Promise.reject(error as unknown),
  );
  return stdout.split('\n').filter((line) => line !== '');
}

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
      .replace('on: { merge: main }', 'on: manual, accepts: any')
      .replaceAll('deploy: process', 'deploy: process, settle: 100ms'),
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
