import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import type { Desired } from '../src/deploy/driver.ts';
import { GitopsConfig } from '../src/deploy/gitops/config.ts';
import { createGitopsDriver } from '../src/deploy/gitops/gitops.ts';
import { writeImage } from '../src/deploy/gitops/image-field.ts';
import { createManifestWriters } from '../src/deploy/gitops/manifest-writers.ts';
import { createSerialWriter } from '../src/deploy/gitops/serial-writer.ts';
import { layouts, shapeOf } from '../src/deploy/gitops/testing/layouts.ts';
import { sha256 } from '../src/lib/digest.ts';
import { openStore, type Store } from '../src/store/database.ts';
import { startEmbeddedPostgres } from '../src/store/embedded/postgres.ts';
import { migrate } from '../src/store/migrate.ts';
import { alternate, type Figure, lineOf, median, percentile } from './figure.ts';
import { type GitPeer, startGitPeer } from './git-machine.ts';
import { fileOf } from './git-writers.ts';

const SMALL = 100;
const LARGE = 100_000;
const EDITS = 1_000;
const WRITERS = 50;
const WRITING_MS = 15_000;
const OUTSIDE = 12;
const OUTSIDE_EVERY_MS = 3_000;
/** Each holds a clone of all files, so that more of them would measure the disk. Fewer writers lose fewer races: this favours them. */
const OPTIMISTS = 2;
const OPTIMISTIC_MS = 60_000;

/**
 * The gitops driver over a real git server and a real store: promotions one at a time, twelve and fifty at once, in a small
 * and in a large repository, against writers that clone, edit, push and try again. Every promotion is looked for afterwards.
 */
export async function run(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-bench-gitops-'));
  const postgres = await startEmbeddedPostgres({ directory: join(directory, 'pg') });
  const [server, others] = [startGitPeer(), startGitPeer()];
  await migrate(postgres.url);
  const store = await openStore(postgres.url);
  try {
    const small = await repositoryOf(server, SMALL);
    const large = await repositoryOf(server, LARGE);
    const parts = { store, directory, others };
    const figures: Figure[] = [];
    const measures = [
      edits,
      () => atOnce(parts, small),
      () => sizes(parts, small, large),
      () => crowd(parts, server, large, join(directory, 'clones')),
    ];
    for (const measure of measures) {
      figures.push(...(await measure()));
      console.error(figures.slice(-10).map(lineOf).join('\n'));
    }
    return figures;
  } finally {
    await store.close();
    await others.stop();
    await server.stop();
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

interface Parts {
  readonly store: Store;
  readonly directory: string;
  /** Who pushes beside us. */
  readonly others: GitPeer;
}

/** A thousand edits of the manifests of `fixtures/`, each with another image: nothing but the wanted bytes may differ. */
function edits(): Figure[] {
  const times: number[] = [];
  let exact = 0;
  for (let at = 0; at < EDITS; at++) {
    const layout = layouts[at % layouts.length];
    if (layout === undefined) throw new Error('There are no layouts.');
    const before = readFileSync(join('fixtures/manifests', layout.place.file));
    const began = performance.now();
    const after = writeImage(before, layout.place, { digest: sha256(`image ${at}`), tag: tagOf(at) }, styleOf(at));
    times.push(performance.now() - began);
    if (shapeOf(before, layout).test(after.toString('latin1')) && after.includes(sha256(`image ${at}`))) exact += 1;
  }
  return [
    { name: 'gitops.edits.exact', value: exact, unit: 'files', goal: { op: '>=', value: EDITS } },
    { name: 'gitops.edits.p50', value: median(times), unit: 'ms' },
  ];
}

function tagOf(at: number): string {
  return ['v1.4.1', '1.20', '1234e56', 'on', '0123', '1.4.1-rc.1'][at % 6] ?? 'v1';
}

function styleOf(at: number): 'digest' | 'tag@digest' {
  return at % 2 === 0 ? 'digest' : 'tag@digest';
}

/** Twelve of one moment in one file, where they meet, and one alone. */
async function atOnce(parts: Parts, repository: Repository): Promise<Figure[]> {
  const promoter = promoterOf(parts, repository);
  try {
    const all = Array.from({ length: 12 }, (_, at) => at);
    let version = 0;
    const times = await alternate(5, [
      { name: 'one', run: () => promoter.promote(0, `one-${(version += 1)}`, 'images.yaml') },
      {
        name: 'twelve',
        run: () => {
          version += 1;
          return Promise.all(all.map((app) => promoter.promote(app, `twelve-${version}`, 'images.yaml')));
        },
      },
    ]);
    await Promise.all(all.map((app) => promoter.promote(app, 'last', 'images.yaml')));
    const text = await repository.git('show', 'main:images.yaml');
    const landed = all.filter((app) => text.includes(digestOf(app, 'last'))).length;
    return [
      { name: 'gitops.one.p50', value: median(times.one), unit: 'ms' },
      { name: 'gitops.twelve.p50', value: median(times.twelve), unit: 'ms' },
      {
        name: 'gitops.twelve.vs-one',
        value: median(times.twelve) / median(times.one),
        unit: 'x',
        goal: { op: '<=', value: 3 },
      },
      { name: 'gitops.twelve.landed', value: landed, unit: 'of 12', goal: { op: '>=', value: 12 } },
    ];
  } finally {
    await promoter.close();
  }
}

/** With the quarter of a second that is waited for others, and without it: then what is left is the work. */
async function sizes(parts: Parts, small: Repository, large: Repository): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { name, windowMs } of [{ name: 'large' }, { name: 'large.no-window', windowMs: 0 }]) {
    const [inSmall, inLarge] = [promoterOf(parts, small, windowMs), promoterOf(parts, large, windowMs)];
    let version = 0;
    try {
      const times = await alternate(6, [
        { name: 'small', run: () => inSmall.promote(1, `${name}-${(version += 1)}`) },
        { name: 'large', run: () => inLarge.promote(1, `${name}-${(version += 1)}`) },
      ]);
      figures.push(
        { name: `gitops.${name}.p50`, value: median(times.large), unit: 'ms' },
        {
          name: `gitops.${name}.vs-small`,
          value: median(times.large) / median(times.small),
          unit: 'x',
          goal: { op: '<=', value: 2 },
        },
      );
    } finally {
      await inSmall.close();
      await inLarge.close();
    }
  }
  return figures;
}

/** Fifty that promote without a pause: alone, then beside somebody whose commits come every three seconds. */
async function crowd(parts: Parts, server: GitPeer, repository: Repository, clones: string): Promise<Figure[]> {
  const promoter = promoterOf(parts, repository);
  const before = Number(await repository.git('rev-list', '--count', 'main'));
  try {
    const all = Array.from({ length: WRITERS }, (_, app) => app);
    await promoter.promote(0, 'first'); // the mirror is there
    await Promise.all(all.map((app) => promoter.promote(app, 'warm-up'))); // and the files
    await server.ask('housekeeping', repository.url);
    const alone = await writeOn(promoter, 'alone', () => wait(WRITING_MS));
    const notes: number[] = [];
    await server.ask('housekeeping', repository.url);
    const beside = await writeOn(promoter, 'beside', async () => {
      for (let at = 0; at < OUTSIDE; at++) {
        await wait(OUTSIDE_EVERY_MS);
        notes.push(await server.ask('note', repository.url));
      }
    });
    const after = Number(await repository.git('rev-list', '--count', 'main'));
    const landed = notes.filter((many) => many > 0).length;
    const lost = 1 + WRITERS + alone.latencies.length + beside.latencies.length + landed - (after - before);
    for (const [app, digest] of beside.last)
      if (!(await repository.git('show', `main:${fileOf(app)}`)).includes(digest)) throw new Error(`${app} was lost.`);
    const optimistic = await optimists(parts.others, repository, clones);
    const [rate, besideRate] = [alone, beside].map(({ latencies, seconds }) => latencies.length / seconds);
    return [
      { name: 'gitops.crowd.rate', value: rate ?? 0, unit: '/s', goal: { op: '>=', value: 100 } },
      {
        name: 'gitops.crowd.p99',
        value: percentile(alone.latencies, 99) / 1000,
        unit: 's',
        goal: { op: '<=', value: 0.5 },
      },
      { name: 'gitops.crowd.lost', value: lost, unit: 'commits', goal: { op: '<=', value: 0 } },
      { name: 'gitops.outside.landed', value: landed / OUTSIDE, unit: 'of all', goal: { op: '>=', value: 1 } },
      { name: 'gitops.outside.attempts', value: Math.max(...notes), unit: 'at most' },
      { name: 'gitops.beside.rate', value: besideRate ?? 0, unit: '/s', goal: { op: '>=', value: 100 } },
      {
        name: 'gitops.beside.p99',
        value: percentile(beside.latencies, 99) / 1000,
        unit: 's',
        goal: { op: '<=', value: 0.5 },
      },
      { name: 'gitops.optimistic.landed', value: optimistic.landed, unit: 'in all' },
      { name: 'gitops.optimistic.rate', value: optimistic.rate, unit: '/s' },
      {
        name: 'gitops.crowd.vs-optimistic',
        value: (rate ?? 0) / optimistic.rate,
        unit: 'x',
        goal: { op: '>=', value: 20 },
      },
    ];
  } finally {
    await promoter.close();
  }
}

interface Written {
  readonly latencies: readonly number[];
  readonly seconds: number;
  /** App -> the digest that it promoted last. */
  readonly last: ReadonlyMap<number, string>;
}

/** Each writer promotes, waits until it stands there, and promotes again, for as long as `meanwhile` takes. */
async function writeOn(promoter: Promoter, name: string, meanwhile: () => Promise<unknown>): Promise<Written> {
  const latencies: number[] = [];
  const last = new Map<number, string>();
  const over = new AbortController();
  const began = performance.now();
  const writers = Array.from({ length: WRITERS }, async (_, app) => {
    for (let round = 0; !over.signal.aborted; round++) {
      const start = performance.now();
      await promoter.promote(app, `${name}-${round}`);
      latencies.push(performance.now() - start);
      last.set(app, digestOf(app, `${name}-${round}`));
    }
  });
  await meanwhile();
  over.abort();
  await Promise.all(writers);
  return { latencies, last, seconds: (performance.now() - began) / 1000 };
}

interface Optimistic {
  readonly landed: number;
  /** Promotions a second; where none landed, what one would have been. */
  readonly rate: number;
}

async function optimists(others: GitPeer, repository: Repository, clones: string): Promise<Optimistic> {
  const began = performance.now();
  const each = await Promise.all(
    Array.from({ length: OPTIMISTS }, (_, at) =>
      others.ask('optimist', repository.url, join(clones, `optimist-${at}`), fileOf(at), OPTIMISTIC_MS),
    ),
  );
  const landed = each.reduce((sum, many) => sum + many, 0);
  return { landed, rate: Math.max(landed, 1) / ((performance.now() - began) / 1000) };
}

interface Promoter {
  /** Brings a version of an app: into its own file, or into one that all share. */
  promote(app: number, version: string, file?: string): Promise<void>;
  close(): Promise<void>;
}

let promoters = 0;

function promoterOf({ store, directory }: Parts, { url }: Repository, windowMs?: number): Promoter {
  const id = (promoters += 1);
  const serial = createSerialWriter({ store, holder: `bench-${id}`, ...(windowMs === undefined ? {} : { windowMs }) });
  const writers = createManifestWriters({
    directory: join(directory, 'mirrors'),
    remoteOf: (address) => ({ url: address, allow: ['http'] }),
  });
  const driver = createGitopsDriver({
    store,
    serial,
    writerOf: writers.of,
    clusterOf: () => Promise.reject(new Error('Nobody is asked.')),
    hosts: { api: () => null },
  });
  let token = 0n;
  return {
    promote: async (app, version, file = fileOf(app)) => {
      const desired = desiredOf(url, id, app, version, file);
      const actions = driver.plan(desired, { services: {} });
      const signal = new AbortController().signal;
      await driver.apply(desired, actions, { log: () => undefined, signal, token: (token += 1n) });
    },
    close: async () => {
      await serial.close();
      await writers.close();
    },
  };
}

function desiredOf(url: string, id: number, app: number, version: string, file: string): Desired<GitopsConfig> {
  const place = { file, image: `spec.containers[name=app-${app}].image` };
  return {
    target: { project: `bench-${id}`, environment: `prod-${app}`, slug: `prod-${app}` },
    config: GitopsConfig.parse({ repository: url, branch: 'main', services: { web: place } }),
    operation: `${id}-${app}-${version}`,
    promotion: { number: 1, release: version, commit: 'c'.repeat(40), evidence: ['unit passed e1'] },
    services: [
      {
        service: 'web',
        image: 'registry.example.com/shop/web',
        digest: digestOf(app, version),
        tag: 'v1.4.0',
        env: {},
        secrets: {},
        replicas: 1,
        limits: {},
      },
    ],
  };
}

function digestOf(app: number, version: string): ReturnType<typeof sha256> {
  return sha256(`${app} ${version}`);
}

interface Repository {
  readonly url: string;
  git(...argv: string[]): Promise<string>;
}

async function repositoryOf(server: GitPeer, files: number): Promise<Repository> {
  const { url } = await server.ask('repository', files);
  return { url, git: (...argv) => server.ask('git', url, ...argv) };
}
