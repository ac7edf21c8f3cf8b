import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Logger } from 'pino';

import { storedCredentials } from './access/credential-store.ts';
import { createGuard, type Guard } from './access/guard.ts';
import { ensureRegistryKey } from './access/registry-key-store.ts';
import { createPasses } from './access/registry-pass.ts';
import { ensureLocalToken, readLocalToken } from './access/local-token-store.ts';
import { ensureSigningKey } from './attestation/signing-key-store.ts';
import { openArtifactRegistry } from './artifact-registry.ts';
import { makeDataDirectory, takeDataDirectory } from './data-directory.ts';
import { drivers } from './deploy/drivers.ts';
import { loadDrivers } from './deploy/outside/load-drivers.ts';
import { createFlows, createStarts, type Flows, QUEUES } from './flow/create-flows.ts';
import { createEngine, type Engine } from './flow/engine/engine.ts';
import { migrateEverything } from './flow/engine/migrate.ts';
import { freeClaims } from './flow/free-claims.ts';
import type { House } from './flow/house.ts';
import { createMirrors, type Mirrors } from './flow/mirrors.ts';
import { followNews } from './flow/news.ts';
import { runSweep } from './flow/sweep.ts';
import { type CareSettings, careTasks, createCare, type MachineCare } from './flow/care/care.ts';
import { outsideContent } from './flow/care/outside-content.ts';
import { takeDown } from './flow/take-down.ts';
import type { UseCases } from './flow/use-cases.ts';
import { createUseCases } from './flow/use-cases/create.ts';
import { listRefs } from './git/ls-refs.ts';
import type { Scheme } from './git/remote.ts';
import { storedAnswers } from './http/answer-store.ts';
import { listen, requireFreePort } from './http/listen.ts';
import { createServer } from './http/server.ts';
import { createWorkerServer } from './http/worker-server.ts';
import { systemClock } from './lib/clock.ts';
import { createPlugins } from './plugins.ts';
import { createServerLog } from './server-log.ts';
import { POLL_SETTINGS } from './source/poll-plan.ts';
import { runPoller } from './source/poller.ts';
import { openStore, requireAnswer, type Store } from './store/database.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './store/embedded/postgres.ts';

export interface InstallationOptions {
  /** Everything that is kept lies below it. */
  readonly data: string;
  /** Postgres; the embedded one where it is not given. */
  readonly databaseUrl?: string | undefined;
  /** Downloads and layers; several servers of a machine may share it. Default: below `data`. */
  readonly cache?: string | undefined;
  /** Of a registry that somebody else runs: `host[:port][/prefix]`. Default: the embedded one. */
  readonly registry?: string | undefined;
  /** Where zips of functions rest: `s3://BUCKET[/PREFIX]`. Default: in the registry. */
  readonly zips?: string | undefined;
  /** The folder with what is known of vulnerabilities. Default: `advisories` in the data directory. */
  readonly advisories?: string | undefined;
  /** Files of drivers that are not of this version. Never from a repository: they have all rights of the server. */
  readonly drivers?: readonly string[];
  /** The largest blob that the embedded registry takes by HTTP. */
  readonly blobBytes?: number | undefined;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly roles: readonly ('api' | 'worker')[];
  /** Under which address people open the page: what git hosts are told leads there. Default: where it listens. */
  readonly publicUrl?: string | undefined;
  /** Of git: `file` and `http` only where whoever starts the server says so. */
  readonly allow?: readonly Scheme[];
  readonly firstPort?: number;
  /** How long an artifact stays that nothing needs. */
  readonly artifactDays?: number;
  readonly pollEveryMs?: number;
  /** How often what changes rarely is looked at (names of images, old uploads, mirrors), and what is kept how long. */
  readonly care?: CareSettings;
  readonly log?: Logger;
}

export interface Installation {
  readonly url: string;
  readonly store: Store;
  readonly engine: Engine;
  readonly guard: Guard;
  readonly useCases: UseCases;
  /** Stops taking work, waits for what runs, lets go. What users run stays up, unless `everything` shall end. */
  stop(options?: { readonly everything?: boolean }): Promise<void>;
}

const WEB = fileURLToPath(new URL('../web', import.meta.url));
const VERSION = '0.1.0';
/** Whoever asks a server to end waits ten seconds and no longer: work of that time is given to others. */
const DRAIN_MS = 5_000;

/** Starts one server on its data: everything is wired here, once. Ready when it answers. */
export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const undo: (() => Promise<void>)[] = [];
  try {
    return await start(options, undo);
  } catch (error) {
    await inTurn(undo.toReversed()).catch(() => undefined);
    throw error;
  }
}

/** @param undo gets what lets go of each thing that was taken, for the case that a later one fails */
async function start(options: InstallationOptions, undo: (() => Promise<void>)[]): Promise<Installation> {
  const log = options.log ?? createServerLog();
  const outsideDrivers = await loadDrivers(
    options.drivers ?? [],
    drivers.map(({ name }) => name),
  );
  await makeDataDirectory(options.data);
  const alone = options.databaseUrl === undefined;
  const giveBack = alone ? await takeDataDirectory(options.data) : async () => undefined;
  undo.push(giveBack);
  // image references hold the port, so it is known before anything listens on it
  const { host } = options;
  const port = await requireFreePort(options);
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const postgres = alone ? await startPostgres(join(options.data, 'pg'), log) : null;
  undo.push(async () => postgres?.stop());
  const databaseUrl = options.databaseUrl ?? postgres?.url ?? '';
  const engineLog = (level: 'debug' | 'info' | 'warn' | 'error', text: string): void => log[level](text);
  const store = await openStore(databaseUrl);
  undo.push(() => store.close());
  await migrateEverything(databaseUrl, engineLog);
  const engine = await createEngine({ store, log: engineLog });
  undo.push(() => engine.stop({ drainMs: 0 }));
  const guard = createGuard({ keeper: storedCredentials(store.db), clock: systemClock, random: randomBytes });
  await ensureLocalToken(guard, options.data, userName());

  const passes = createPasses(await ensureRegistryKey(options.data), systemClock);
  const artifacts = await openArtifactRegistry({
    data: options.data,
    place: options.registry,
    blobBytes: options.blobBytes,
    host: `127.0.0.1:${port}`,
    localToken: async () => (await readLocalToken(options.data)) ?? '',
    onError: (error) => log.warn({ err: error }, 'the registry failed at a request'),
  });
  const { registry, embedded } = artifacts;

  let flows: Flows | undefined;
  const starts = createStarts(
    engine,
    () => flows ?? unready(),
    () => plugins.drivers,
  );
  const allow = options.allow ?? ['https', 'ssh'];
  const remoteOf: House['remoteOf'] = (url, access) => ({
    url,
    allow,
    credential: async () => {
      const { credential, host } = await access();
      return credential === null ? undefined : plugins.hosts.gitCredential({ url, host }, credential);
    },
  });
  const mirrors = createMirrors(store, { directory: join(options.data, 'mirrors'), remoteOf });
  const plugins = await createPlugins({
    data: options.data,
    cache: options.cache ?? join(options.data, 'cache'),
    registry,
    zips: options.zips,
    advisories: options.advisories,
    outsideDrivers,
    store,
    remoteOf,
    credentials: (host) => artifacts.credentials(host),
    registryIsOurs: embedded !== null,
    pullPass: async (repository) => (await passes.issueAnonymous([{ repository, actions: ['pull'] }])).pass,
  });
  const house: House = {
    families: plugins.families,
    advisories: plugins.advisories,
    bucket: plugins.bucket,
    builders: plugins.builders,
    drivers: plugins.drivers,
    checkToolsFor: plugins.checkToolsFor,
    resolveBase: plugins.resolveBase,
    registryAt: plugins.registryAt,
    secretOf: plugins.secretOf,
    hosts: plugins.hosts,
    store,
    clock: systemClock,
    log,
    settings: {
      platform: plugins.platform,
      firstPort: options.firstPort ?? 7100,
      page: options.publicUrl ?? url,
      artifactDays: options.artifactDays ?? 30,
    },
    registry,
    content: embedded?.content() ?? outsideContent({ store, registry, clock: systemClock, log }),
    mirrorOf: (id) => mirrors.of(id),
    mirrorDirectory: (id) => mirrors.directoryOf(id),
    remoteOf,
    keys: plugins.keys,
    issuerKeys: plugins.issuerKeys,
    outgoing: plugins.outgoing,
    starts,
  };
  // a key that cannot be opened here is told by who signs
  await store.transaction((tx) => ensureSigningKey(tx, plugins.keys));
  flows = createFlows(house);
  const useCases = createUseCases(house);
  const answers = storedAnswers(store.db);
  const faces = {
    useCases,
    guard,
    passes,
    answers,
    clock: systemClock,
    ready: () => requireAnswer(store),
    version: VERSION,
    web: WEB,
    registry: embedded ?? undefined,
    log,
  };
  const isApi = options.roles.includes('api');
  const closeServer = await listen(isApi ? await createServer(faces) : createWorkerServer(faces), { host, port });
  undo.push(closeServer);
  if (isApi) await writeFile(join(options.data, 'server'), `${url}\n`);

  const ending = new AbortController();
  const machine: MachineCare = {
    ...plugins.machine,
    sweepUploads: async (beforeMs) => embedded?.sweep(beforeMs) ?? 0,
  };
  const loops = options.roles.includes('worker')
    ? await startWorker(options, { house, engine, flows, mirrors, log, machine }, ending.signal)
    : [];
  return {
    url,
    store,
    engine,
    guard,
    useCases,
    stop({ everything = false } = {}) {
      ending.abort();
      const drainMs = everything ? 1000 : DRAIN_MS;
      return inTurn([
        () => allDone([closeServer(), ...loops, engine.stop({ drainMs })]),
        ...(everything ? [() => takeDown(house), () => plugins.endProxy()] : []),
        () => Promise.resolve(mirrors.close()).then(plugins.closeManifests),
        () => store.close(),
        async () => postgres?.stop(),
        giveBack,
      ]);
    },
  };
}

function startPostgres(directory: string, log: Logger): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({
    directory,
    onOutage: (problem) => log.error({ problem }, 'the database is away and is started again'),
  });
}

/** Lets go of one thing after another, of each though another would not. @throws the first failure, when all is done */
async function inTurn(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

async function allDone(works: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(works)).find((work) => work.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

interface WorkerParts {
  readonly house: House;
  readonly engine: Engine;
  readonly flows: Flows;
  readonly mirrors: Mirrors;
  readonly machine: MachineCare;
  readonly log: Logger;
}

async function startWorker(
  options: InstallationOptions,
  parts: WorkerParts,
  signal: AbortSignal,
): Promise<Promise<void>[]> {
  const { house, engine, flows, mirrors, log } = parts;
  const alone = options.databaseUrl === undefined;
  if (alone) await freeClaims(house.store.db);
  await engine.start({ workflows: Object.values(flows), queues: QUEUES, alone });
  const poller = runPoller(
    {
      store: house.store,
      clock: house.clock,
      chance: Math.random,
      remoteOf: (repository) => house.remoteOf(repository.url, () => Promise.resolve(repository)),
      list: listRefs,
      mirrorOf: ({ id }) => mirrors.of(id),
      onNews: followNews(() => house.starts),
      onError: (error) => log.warn({ err: error }, 'polling failed and is tried again'),
      ...(options.pollEveryMs === undefined ? {} : { settings: { ...POLL_SETTINGS, intervalMs: options.pollEveryMs } }),
    },
    signal,
  );
  const care = createCare(careTasks(house, engine, parts.machine, options.care), log, signal);
  return [poller, runSweep(house, care, signal)];
}

function unready(): never {
  throw new Error('A workflow was started before the workflows were made.');
}

function userName(): string {
  return process.env['USER'] ?? process.env['LOGNAME'] ?? 'admin';
}
