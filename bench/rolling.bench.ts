import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { startLoad } from '../src/deploy/testing/under-load.ts';
import { type ForgeRepository, startForge } from '../src/git/testing/forge.ts';
import { quietPort } from '../src/lib/port.ts';
import { findGoProgram } from '../tools/go-programs.js';
import { call, startDockerEngine } from '../tools/test-machine/docker-engine.js';
import { type Figure, median } from './figure.ts';
import { removeTowpath, type RunningTowpath, startTowpath, until } from './towpath.ts';

const execute = promisify(execFile);
const ROUNDS = 5;
const DRIVERS = ['docker', 'compose', 'swarm'] as const;
const DONE = ['live', 'refused', 'failed', 'superseded', 'cancelled', 'rolled-back'];

/** One way of bringing a version to those who use it. */
interface Way {
  readonly name: string;
  /** Where it is asked, once its first version runs. */
  readonly url: string;
  bring(version: number): Promise<void>;
}

/**
 * What users notice of a new version, by 50 connections that never rest: the drivers of one engine, by a server, and
 * `docker compose up` by hand, in turn.
 */
export async function run(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-bench-rolling-'));
  const engine = await startDockerEngine(join(directory, 'engine'));
  const forge = await startForge();
  const compose = findGoProgram('docker-compose').path ?? '';
  const env = { DOCKER_HOST: engine.address, TOWPATH_COMPOSE: compose };
  const server = await startTowpath(join(directory, 'data'), env);
  try {
    const socket = engine.address.slice('unix://'.length);
    await call(socket, 'POST', '/swarm/init', { ListenAddr: '127.0.0.1:0', AdvertiseAddr: '127.0.0.1' });
    const commits = await releases(server, await forge.createRepository('rolling'));
    const ways: Way[] = [];
    for (const driver of DRIVERS) ways.push(await byTowpath(server, driver, commits));
    ways.push(await byHand(server, { directory: join(directory, 'by-hand'), env, compose, socket }, commits));
    return await measure(ways);
  } finally {
    await server.stop();
    await removeTowpath(join(directory, 'data'));
    await forge.close();
    await call(engine.address.slice('unix://'.length), 'POST', '/swarm/leave?force=1'); // else its networks stay mounted
    await engine.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function measure(ways: readonly Way[]): Promise<Figure[]> {
  const seen = ways.map((way) => ({ ...way, failed: 0, requests: 0, times: [] as number[] }));
  for (let version = 1; version <= ROUNDS; version++)
    for (const way of seen) {
      const load = startLoad(way.url, resolve('src/deploy/testing/paced.lua'));
      try {
        const began = performance.now();
        await way.bring(version);
        way.times.push(performance.now() - began);
      } finally {
        const { failed, requests } = await load.end();
        way.failed += failed;
        way.requests += requests;
      }
    }
  return seen.flatMap(({ name, failed, requests, times }): Figure[] => [
    {
      name: `rolling.${name}.failed`,
      value: failed,
      unit: 'requests',
      ...(name === 'by-hand' ? {} : { goal: { op: '<=', value: 0 } }),
    },
    { name: `rolling.${name}.requests`, value: requests, unit: 'in all' },
    { name: `rolling.${name}.p50`, value: median(times) / 1000, unit: 's' },
  ]);
}

/** @returns the commits of versions of one small service, each built */
async function releases(server: RunningTowpath, repository: ForgeRepository): Promise<string[]> {
  const environments = DRIVERS.map(
    (name) =>
      `  ${name}: { on: manual, accepts: any, settle: 100ms, deploy: ${name === 'swarm' ? '{ swarm: { probe: node } }' : name} }`,
  );
  const config = [
    'project: rolling',
    'services:',
    '  web: { path: web, build: { node: { start: main.js } }, port: 3000, health: /healthz }',
    'environments:',
    ...environments,
    '',
  ];
  const commits: string[] = [];
  for (let version = 0; version <= ROUNDS; version++) {
    const files = { 'web/main.js': program(version), 'towpath.yaml': config.join('\n'), 'compose.yaml': COMPOSE };
    const commit = await repository.commit({ files });
    await (version === 0
      ? server.client.call('project.add', { body: { url: repository.url } })
      : server.client.call('project.refresh', { params: { project: 'rolling' } }));
    await until(async () => {
      const { items } = await server.client.call('release.list', { params: { project: 'rolling' }, query: {} });
      return items.some((release) => release.commit === commit && release.state === 'ready') ? commit : null;
    });
    commits.push(commit);
  }
  return commits;
}

const COMPOSE = 'services:\n  web: { image: rolling/web }\n';

function program(version: number): string {
  return [
    "process.once('SIGTERM', () => process.exit());",
    `require('node:http').createServer((_, response) => response.end('${version}')).listen(process.env.PORT);`,
    '',
  ].join('\n');
}

async function byTowpath(server: RunningTowpath, name: string, commits: readonly string[]): Promise<Way> {
  const params = { project: 'rolling', environment: name };
  const bring = async (version: number): Promise<void> => {
    const body = { release: commits[version] ?? '' };
    const answer = await server.client.call('promotion.request', { params, body });
    if (answer.kind !== 'started') throw new Error('It was no dry run.');
    const { state, headline } = await until(async () => {
      const promotion = await server.client.call('promotion.show', { params: { promotion: answer.promotion.id } });
      return DONE.includes(promotion.state) ? promotion : null;
    });
    if (state !== 'live') throw new Error(`${name}: ${state}: ${headline}`);
  };
  await bring(0);
  const { services } = await server.client.call('environment.show', { params });
  return { name, bring, url: `${services[0]?.url ?? ''}/` };
}

interface Hand {
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly compose: string;
  readonly socket: string;
}

/** The same images, that the engine has by then, by a compose file that somebody edits. */
async function byHand(server: RunningTowpath, hand: Hand, commits: readonly string[]): Promise<Way> {
  const { directory, env, compose, socket } = hand;
  const port = await quietPort();
  await mkdir(directory, { recursive: true });
  const { items } = await server.client.call('release.list', { params: { project: 'rolling' }, query: { limit: 100 } });
  const bring = async (version: number): Promise<void> => {
    const digest = items.find(({ commit }) => commit === commits[version])?.services[0]?.digest ?? 'no digest';
    const { body } = await call(socket, 'GET', '/images/json');
    const images = JSON.parse(body) as { readonly RepoDigests: readonly string[] | null }[];
    const image = images.flatMap(({ RepoDigests }) => RepoDigests ?? []).find((name) => name.endsWith(digest));
    if (image === undefined) throw new Error('The engine does not have the image.');
    const web = { image, environment: { PORT: '3000' }, ports: [`127.0.0.1:${port}:3000`] };
    await writeFile(join(directory, 'compose.yaml'), JSON.stringify({ services: { web } }));
    await execute(compose, ['--project-name', 'by-hand', 'up', '--detach', '--wait'], {
      cwd: directory,
      env: { ...process.env, ...env },
    });
  };
  await bring(0);
  return { name: 'by-hand', bring, url: `http://127.0.0.1:${port}/` };
}
