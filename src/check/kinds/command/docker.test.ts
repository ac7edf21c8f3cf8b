import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

import { makePostgresImage, makeRedisImage, makeS3Image, makeTestImage } from '../../../../tools/test-machine/image.ts';
import { pushTestImage, type TestImage } from '../../../../tools/test-machine/oci-image.ts';
import { debianRegistryHost, dockerHost } from '../../../../tools/test-machine/machine.ts';
import { findRustProgram } from '../../../../tools/rust-programs.js';
import { connectDocker, type DockerEngine } from '../../../container/docker/engine.ts';
import { inspectImage, pullImage } from '../../../container/docker/images.ts';
import { dockerTaskRunner } from '../../../container/docker/task-runner.ts';
import type { TaskRunner } from '../../../container/runtime.ts';
import { sha256 } from '../../../lib/digest.ts';
import { CANARY_KEYS } from '../../../registry/testing/s3-server.ts';
import { createRegistryClient } from '../../../registry/client/client.ts';
import { backingSchema, type PinnedPart, pinnedParts } from '../../backing.ts';
import type { FileKeeper } from '../../kept-files.ts';
import type { CheckAnswer } from '../../kind.ts';
import { memorySource } from '../../testing/source.ts';
import { command } from './command.ts';

/** As a shell can write it: the image has no Node. */
const PROGRAM = `cat test/words.txt app.txt && touch test/x 2>/dev/null; ls test;
  echo '<testsuite><testcase name="reads"/></testsuite>' > reports/junit.xml`;

const files = { 'test/words.txt': 'from the tests\n', 'README.md': 'not mounted' };

let engine: DockerEngine;
let image: TestImage;
let reference: string;
let host: string;

beforeAll(async () => {
  engine = await connectDocker({ host: await dockerHost() });
  host = await debianRegistryHost();
  image = await makeTestImage({
    base: 'busybox',
    files: { '/app/app.txt': 'from the image\n' },
    argv: ['sh'],
    user: '1000',
  });
  reference = await pushTestImage(host, 'check/command', image);
  await pullImage(engine, reference, { log: () => undefined, signal: new AbortController().signal });
});

test('in a container, the tests lie over the image, whichever user it runs as, and their report comes out', async () => {
  const { answer, lines } = await ask(dockerTaskRunner(engine));
  expect(lines).toEqual(['from the tests', 'from the image', 'words.txt']);
  expect(answer).toMatchObject({ verdict: 'passed', tests: { passed: 1 }, ran: { runner: 'docker', isolates: true } });
});

test('files that it writes are kept, whichever user the image runs as', async () => {
  const write = 'mkdir shots/deep && echo picture > shots/deep/a.png && ln -s /etc/passwd shots/link; exit 3';
  const stored: string[] = [];
  const { answer } = await ask(dockerTaskRunner(engine), {
    definition: { run: ['sh', '-c', write] },
    keeper: { patterns: ['shots/'], store: async (bytes) => (stored.push(bytes.toString()), sha256(bytes)) },
  });
  expect(answer).toMatchObject({
    verdict: 'failed',
    kept: { files: [{ path: 'shots/deep/a.png', size: 8 }], leftOut: 1 },
  });
  expect(stored).toEqual(['picture\n']);
});

test('the digest under test is the same before and after, in the registry and in the engine', async () => {
  const registry = createRegistryClient({ host, scheme: 'http' });
  const before = {
    engine: await inspectImage(engine, reference),
    registry: await registry.manifest('check/command', image.digest),
  };
  await ask(dockerTaskRunner(engine));
  const after = {
    engine: await inspectImage(engine, reference),
    registry: await registry.manifest('check/command', image.digest),
  };
  expect(after).toEqual(before);
  expect(after.registry?.digest).toBe(image.digest);
});

test('a check of a Postgres that is made for it alone finds it ready and empty, each time', async () => {
  const postgres = await makePostgresImage();
  const image = (await pushTestImage(host, 'check/postgres', postgres)).replace('@', ':16@');
  const backing = backingSchema.parse({
    image,
    port: 5432,
    ready: 'pg_isready -h 127.0.0.1 -U postgres',
    tells: { PGUSER: 'postgres' },
  });
  const parts = pinnedParts({ postgres: backing }, [], { [image]: postgres.digest });
  const run = [
    'sh',
    '-c',
    'psql -h $TOWPATH_POSTGRES_HOST -p $TOWPATH_POSTGRES_PORT -Atc "create table once(); select 6 * 7"',
  ];
  reference = image.replace(':16@', '@'); // it has a client too
  for (const _ of [1, 2]) {
    const { answer, lines } = await ask(dockerTaskRunner(engine), { definition: { run }, parts });
    expect(lines.filter((line) => !line.startsWith('postgres | ')).slice(-2)).toEqual(['CREATE TABLE', '42']);
    expect(answer).toMatchObject({ verdict: 'passed', ran: { runner: 'docker' } });
  }
});

test('a check of a Redis that is made for it alone finds it ready and empty, each time', async () => {
  const redis = await makeRedisImage();
  const image = (await pushTestImage(host, 'check/redis', redis)).replace('@', ':7@');
  const backing = backingSchema.parse({ image, port: 6379, ready: 'redis-cli ping' });
  const parts = pinnedParts({ cache: backing }, [], { [image]: redis.digest });
  const client = 'redis-cli -h $TOWPATH_CACHE_HOST -p $TOWPATH_CACHE_PORT';
  const run = ['sh', '-c', `${client} dbsize && ${client} incr visits && ${client} get visits`];
  reference = image.replace(':7@', '@'); // it has a client too
  for (const _ of [1, 2]) {
    const { answer, lines } = await ask(dockerTaskRunner(engine), { definition: { run }, parts });
    expect(lines.filter((line) => !line.startsWith('cache | ')).slice(-3)).toEqual(['0', '1', '1']);
    expect(answer).toMatchObject({ verdict: 'passed', ran: { runner: 'docker' } });
  }
});

/** It is one file, which needs nothing beside it. */
const AWS4FETCH = new URL('../../../../node_modules/aws4fetch/dist/aws4fetch.esm.mjs', import.meta.url);

/** As a service would: each request is signed, and what was put is read back by its name and in the list. */
const KEEPS = `
import { AwsClient } from './aws4fetch.mjs';
const { S3, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
const ask = async (path, init, keys = secretAccessKey) => {
  const client = new AwsClient({ accessKeyId, secretAccessKey: keys, service: 's3', region: 'us-east-1', retries: 0 });
  const answer = await client.fetch(S3 + path, init);
  return [answer.status, await answer.text()];
};
const listed = async () => (await ask('/orders?list-type=2'))[1].match(/<Key>[^<]*/g).join();
console.log(await listed());
console.log((await ask('/orders/1.json', { method: 'PUT', body: '{"total":42}' }))[0]);
console.log((await ask('/orders/1.json'))[1], await listed());
console.log((await ask('/orders/1.json', {}, 'a wrong key'))[0]);
`;

const s3 = findRustProgram('s3s-fs');
if (s3.missing !== undefined) process.stderr.write(`${s3.missing}\n`);

test.runIf(s3.missing === undefined)(
  'a check of an S3 that is made for it alone finds an empty bucket, each time, and keys that count',
  async () => {
    const server = await makeS3Image('orders', CANARY_KEYS);
    const image = (await pushTestImage(host, 'check/s3', server)).replace('@', ':1@');
    const { accessKeyId, secretAccessKey } = CANARY_KEYS;
    const tells = { S3: 'http://s3:9000', AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    const parts = pinnedParts({ s3: backingSchema.parse({ image, port: 9000, tells }) }, [], {
      [image]: server.digest,
    });
    const client = await readFile(AWS4FETCH, 'utf8');
    const tested = await makeTestImage({ base: 'node', argv: ['node'] });
    reference = await pushTestImage(host, 'check/s3-client', tested);
    const tests = { 'test/keeps.mjs': KEEPS, 'test/aws4fetch.mjs': client };
    const definition = { run: ['node', 'test/keeps.mjs'], mount: 'test' };
    for (const _ of [1, 2]) {
      const { answer, lines } = await ask(dockerTaskRunner(engine), { definition, parts, tests });
      const said = lines.filter((line) => !line.startsWith('s3 | '));
      expect(said.slice(-4)).toEqual(['<Key>.keep', '200', '{"total":42} <Key>.keep,<Key>1.json', '403']);
      expect(answer).toMatchObject({ verdict: 'passed', ran: { runner: 'docker' } });
    }
  },
);

async function ask(
  runner: TaskRunner,
  {
    definition = { run: ['sh', '-c', PROGRAM], junit: 'reports/junit.xml' },
    parts = [],
    keeper,
    tests = files,
  }: {
    definition?: object;
    parts?: PinnedPart[];
    keeper?: FileKeeper;
    tests?: Readonly<Record<string, string>>;
  } = {},
): Promise<{ answer: CheckAnswer; lines: string[] }> {
  const directory = await mkdtemp(join(tmpdir(), 'check-docker-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const lines: string[] = [];
  const config = { entrypoint: [], command: ['sh'], env: {}, workdir: '/app', user: '1000' };
  const answer = await command.ask(
    {
      definition: z.strictObject(command.fields).parse(definition),
      check: 'unit',
      service: 'web',
      digest: image.digest,
      commit: '4f2a91c',
      source: memorySource(tests),
      parts,
      ...(keeper === undefined ? {} : { keeper }),
      urls: {},
      name: `towpath-check-${process.pid}`,
      timeoutMs: 60_000,
      log: (line) => lines.push(line),
      signal: new AbortController().signal,
    },
    { runner, image: async () => ({ reference, config }), directory, sonar: null },
  );
  expect(await readdir(directory)).toEqual([]);
  return { answer, lines };
}
