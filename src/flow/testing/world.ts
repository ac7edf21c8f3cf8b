import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';

import { createIssuerKeys } from '../../access/oidc/issuer-keys.ts';
import { createExternalBuilder, ExternalDefinition } from '../../artifact/builders/external/external.ts';
import { sealedKeys } from '../../attestation/signers/key/key.ts';
import { advisoriesIn } from '../../check/kinds/scan/advisories/folder.ts';
import type { EcrAccess } from '../../check/kinds/scan/ecr/place.ts';
import { checks } from '../../check/checks.ts';
import type { RunResult, TaskSpec } from '../../container/runtime.ts';
import { listRefs } from '../../git/ls-refs.ts';
import { type FileChange, type Forge, startForge } from '../../git/testing/forge.ts';
import type { DeployDriver } from '../../deploy/driver.ts';
import { createGitopsDriver } from '../../deploy/gitops/gitops.ts';
import { createManifestWriters, type ManifestWriters } from '../../deploy/gitops/manifest-writers.ts';
import { type Clusters, createClusters } from '../../container/kubernetes/clusters.ts';
import { createSerialWriter, type SerialWriter } from '../../deploy/gitops/serial-writer.ts';
import { systemClock } from '../../lib/clock.ts';
import { type Digest, isDigest } from '../../lib/digest.ts';
import { hasCode } from '../../lib/error.ts';
import { createFence } from '../../lib/fence/fence.ts';
import type { MailServer } from '../../notify/messenger.ts';
import { outsideAgents } from '../../registry/client/agents.ts';
import type { AgentFor } from '../../registry/client/transport.ts';
import { createRegistryClient } from '../../registry/client/client.ts';
import { createEmbeddedRegistry } from '../../registry/embedded/embedded.ts';
import { isImmutableTag } from '../../registry/image-names.ts';
import { createHostAccess } from '../../source/host-access.ts';
import { pollOnce } from '../../source/poller.ts';
import { secretsOf } from '../../secret/secret.ts';
import { secretStores } from '../../secret/stores.ts';
import type { Store } from '../../store/database.ts';
import { createCare } from '../care/care.ts';
import { createFlows, createStarts, type Flows, QUEUES } from '../create-flows.ts';
import { createEngine, type Engine } from '../engine/engine.ts';
import { testEngineStore } from '../engine/testing.ts';
import type { House } from '../house.ts';
import { createMirrors } from '../mirrors.ts';
import { followNews } from '../news.ts';
import { runSweep } from '../sweep.ts';
import type { PromoteRequest, UseCases } from '../use-cases.ts';
import { createUseCases } from '../use-cases/create.ts';
import type { EnvironmentDetail } from '../view/environment.ts';
import type { PromoteAnswer, PromotionDetail, PromotionView } from '../view/promotion.ts';
import { installedImage } from './installed-image.ts';
import { awayAtTimes, createHolds, type Holds, stageDriver, textBuilder } from './stage.ts';
import { until } from './until.ts';

export interface Push {
  readonly branch?: string;
  /** Service -> what its image says. */
  readonly says?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, FileChange>>;
  readonly message?: string;
  readonly from?: string;
  readonly merge?: string;
  readonly force?: boolean;
  readonly author?: string;
}

/** What is there when the story begins. */
export interface First extends Push {
  readonly bases?: Readonly<Record<string, Digest>>;
  readonly answer?: World['answer'];
  /** Of Postgres; the run's own by default. */
  readonly server?: string;
  /** How issuers of identity tokens are reached. */
  readonly agentFor?: AgentFor;
}

/**
 * One installation in this process: real git, Postgres, registry and engine, and the workflows as they are. Only what
 * takes long or fails by chance elsewhere is in the test's hand: a builder and a target in memory, which wait where they
 * are told to, a registry and a check that may be away.
 */
export interface World {
  readonly house: House;
  readonly engine: Engine;
  readonly useCases: UseCases;
  readonly project: string;
  /** For more repositories than that of its project. */
  readonly forge: Forge;
  /** The folder of advisories, which a test makes and fills. */
  readonly advisories: string;
  readonly holds: Holds;
  /** Which tags cannot be set at the moment, as when the registry is away. */
  isAway: (tag: string) => boolean;
  /** What a base image means today: by default, what `bases` says. */
  baseOf: House['resolveBase'];
  /** Where secrets are, for references of the form `env:NAME`. */
  readonly env: Record<string, string>;
  /** What outside base images are today: reference -> digest. */
  readonly bases: Record<string, Digest>;
  /** How a check of type `run` ends; throws where it cannot be asked. */
  answer: (
    spec: TaskSpec,
    told: { readonly signal: AbortSignal; readonly says: () => string },
  ) => RunResult | Promise<RunResult>;
  /** Whether checks run apart from the machine. */
  isolates: boolean;
  /** Where the registry of the installation has scans of its own. */
  ecr: EcrAccess | null;
  /** The mail server of the installation. */
  mail: MailServer | null;
  /** What an environment runs: service -> what its image says. */
  runs(environment: string): Record<string, string>;
  git(...args: string[]): Promise<string>;
  /** Commits and pushes; `poll`, which looks at every project, sees it. @returns the commit */
  commit(push: Push): Promise<string>;
  poll(): Promise<void>;
  /** Both. */
  push(push: Push): Promise<string>;
  environment(name: string): Promise<EnvironmentDetail>;
  live(environment: string, commit: string): Promise<EnvironmentDetail>;
  /** Waits until the newest promotion of the commit into the environment is in one of the states. */
  promotion(environment: string, commit: string, ...states: PromotionView['state'][]): Promise<PromotionDetail>;
  /** Waits until a promotion is in one of the states. */
  reaches(id: string, ...states: PromotionView['state'][]): Promise<PromotionDetail>;
  /** Waits until the headline of a promotion has these words. */
  says(id: string, words: string): Promise<PromotionDetail>;
  /** Olga asks for it, as soon as there is a release of that name. */
  request(environment: string, release: string, more?: Partial<PromoteRequest>): Promise<PromotionView>;
  would(environment: string, release: string, more?: Partial<PromoteRequest>): Promise<Would>;
  end(): Promise<void>;
}

export type Would = Extract<PromoteAnswer, { kind: 'would' }>;

/** @param config the services and environments of a `towpath.yaml`; its first commit is on `main` and taken in */
export async function createWorld(
  project: string,
  config: string,
  {
    bases = {},
    answer = () => ({ kind: 'exited', code: 0 }),
    server,
    agentFor = outsideAgents({ environment: {} }),
    ...first
  }: First = {},
): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-world-'));
  const advisories = join(directory, 'advisories');
  const [store, forge] = await Promise.all([testEngineStore(server), startForge()]);
  const engine = await createEngine({ store });
  const embedded = await createEmbeddedRegistry({
    directory: join(directory, 'registry'),
    host: 'registry.test',
    immutable: isImmutableTag,
  });
  const state: Pick<World, 'isAway' | 'answer' | 'isolates' | 'ecr' | 'mail' | 'baseOf' | 'env' | 'bases'> = {
    env: {},
    bases: { ...bases },
    baseOf: async (reference) => state.bases[reference] ?? null,
    isAway: () => false,
    answer,
    isolates: true,
    ecr: null,
    mail: null,
  };
  const holds = createHolds();
  const secrets = secretsOf(secretStores(state.env, directory));
  const registry = awayAtTimes(embedded.registry(), holds, (tag) => state.isAway(tag));
  const builder = textBuilder(registry, holds);
  const external = createExternalBuilder();
  const driverCalled = (name: string) =>
    stageDriver(
      name,
      (digest) => builder.textOf(digest),
      holds,
      (reference) => secrets.resolve(reference),
    );
  const driver = driverCalled('stage');
  const other = driverCalled('other');
  const remoteOf: House['remoteOf'] = (url) => ({ url, allow: ['file', 'http'] });
  const manifests = createManifestWriters({ directory: join(directory, 'manifests'), remoteOf });
  const serial = createSerialWriter({ store, holder: 'world', windowMs: 20 });
  const clusters = createClusters({
    environment: {},
    clock: systemClock,
    secretOf: (reference) => secrets.resolve(reference),
  });
  const hosts = createHostAccess({
    clock: systemClock,
    secretOf: (reference) => secrets.resolve(reference),
    wait: () => Promise.resolve(),
  });
  const gitops = createGitopsDriver({
    store,
    serial,
    writerOf: manifests.of,
    clusterOf: clusters.of,
    hosts,
    lookMs: 50,
    patienceMs: 2000,
  });
  let flows: Flows | undefined;
  const starts = createStarts(
    engine,
    () => flows ?? unready(),
    () => house.drivers,
  );
  const mirrors = createMirrors(store, { directory: join(directory, 'mirrors'), remoteOf });
  const house: House = {
    store,
    advisories: advisoriesIn(advisories),
    bucket: null,
    clock: systemClock,
    log: pino({ level: 'silent' }),
    settings: { platform: 'linux/amd64', firstPort: 7100, page: 'https://towpath.example', artifactDays: 30 },
    families: {
      builders: [builder, { name: external.name, definition: ExternalDefinition, elsewhere: true }],
      drivers: [driver, other, gitops],
      checks,
    },
    builders: new Map([builder, external].map((one) => [one.name, one])),
    drivers: new Map<string, DeployDriver>([driver, other, gitops].map((one) => [one.name, one])),
    checkToolsFor: async (_repository, { sonar }) => ({
      runner: {
        name: 'host',
        isolates: state.isolates,
        run: async (spec, { signal }) => {
          const digest = spec.image.reference.split('@')[1];
          return state.answer(spec, { signal, says: () => (isDigest(digest) ? builder.textOf(digest) : '') });
        },
      },
      image: async (service, digest) => ({
        reference: `registry.test/${service}@${digest}`,
        config: { entrypoint: [], command: [], env: {}, workdir: '/', user: '' },
      }),
      directory,
      sonar: sonar === undefined ? null : { url: sonar.url, token: () => Promise.resolve(sonar.token), agentFor },
      scanning: {
        imageOf: (digest) => installedImage(builder.textOf(digest)),
        advisories: house.advisories,
        ecr: state.ecr,
        clock: systemClock,
      },
    }),
    registry,
    content: embedded.content(),
    resolveBase: (reference) => state.baseOf(reference),
    registryAt: (host) => (host === registry.host ? registry : createRegistryClient({ host })),
    async mirrorOf(id) {
      await holds.pass('git');
      return mirrors.of(id);
    },
    mirrorDirectory: (id) => mirrors.directoryOf(id),
    remoteOf,
    secretOf: (reference) => secrets.resolve(reference),
    hosts,
    keys: sealedKeys(() => Promise.resolve('a passphrase of a test')),
    issuerKeys: createIssuerKeys({ clock: systemClock, agentFor }),
    outgoing: {
      agentFor: outsideAgents({ environment: {}, fence: createFence({ allow: '127.0.0.1' }) }),
      get mail() {
        return state.mail;
      },
    },
    starts,
  };
  flows = createFlows(house);
  await engine.start({ workflows: Object.values(flows), queues: QUEUES });
  const useCases = createUseCases(house);
  const ending = new AbortController();
  const sweeping = runSweep(house, createCare([], house.log, ending.signal), ending.signal);

  const repository = await forge.createRepository(project);
  const commit = ({ says = {}, files = {}, ...rest }: Push): Promise<string> => {
    const texts = Object.entries(says).map(([service, text]) => [`services/${service}/text`, text]);
    return repository.commit({ ...rest, files: { ...Object.fromEntries(texts), ...files } });
  };
  const poll = async (): Promise<void> => {
    const watched = await store.db.selectFrom('repository').select('id').where('left_at', 'is', null).execute();
    const polled = new Set<string>();
    await until(async () => {
      for (const { name } of await useCases.projects.list()) await useCases.projects.refresh(name, 'olga');
      const results = await pollOnce({
        store,
        clock: systemClock,
        chance: () => 0.5,
        remoteOf: (repository) => remoteOf(repository.url, () => Promise.resolve(repository)),
        list: listRefs,
        mirrorOf: ({ id }) => mirrors.of(id),
        onNews: followNews(() => starts),
      });
      for (const { repositoryId } of results) polled.add(repositoryId);
      return watched.every(({ id }) => polled.has(id)) ? true : null; // whose row is held, or who is polled beside this, is passed over
    });
  };
  const environment = (name: string): Promise<EnvironmentDetail> => useCases.environments.show(project, name);
  const story = async (name: string): Promise<string> => {
    const why = await useCases.why(project, name).catch((error: unknown) => error);
    return JSON.stringify(why, null, 1);
  };
  const ask = (request: PromoteRequest): Promise<PromoteAnswer> =>
    until(() => useCases.promotions.request(request, 'olga').catch(ifUnknown));
  const whenPromotion = (id: string, is: (found: PromotionDetail) => boolean): Promise<PromotionDetail> =>
    until(
      async () => {
        const found = await useCases.promotions.show(id);
        return is(found) ? found : null;
      },
      async () => JSON.stringify(await useCases.promotions.show(id), null, 1),
    );
  await commit({
    message: 'The path',
    ...first,
    files: { ...first.files, 'towpath.yaml': `project: ${project}\n${config}` },
  });
  await useCases.projects.add({ url: `file://${repository.directory}` }, 'olga');
  await poll();
  await until(async () => {
    const { items } = await useCases.releases.list(project, { limit: 1 });
    return items.some(({ state: its }) => its === 'ready') ? true : null;
  });

  return Object.assign(state, {
    house,
    engine,
    useCases,
    project,
    forge,
    advisories,
    holds,
    runs: (name: string) => ({ ...driver.runs(name), ...other.runs(name) }),
    git: (...args: string[]) => repository.git(...args),
    commit,
    poll,
    async push(push: Push) {
      const made = await commit(push);
      await poll();
      return made;
    },
    environment,
    live: (name: string, sha: string) =>
      until(
        async () => {
          const found = await environment(name).catch(ifUnknown);
          return found?.current?.commit === sha ? found : null;
        },
        () => story(name),
      ),
    reaches: (id: string, ...states: PromotionView['state'][]) =>
      whenPromotion(id, (found) => states.includes(found.state)),
    says: (id: string, words: string) => whenPromotion(id, ({ headline }) => headline.includes(words)),
    promotion: async (name: string, sha: string, ...states: PromotionView['state'][]) =>
      until(
        async () => {
          const { history } = (await environment(name).catch(ifUnknown)) ?? { history: [] };
          const found = history.find(({ release }) => release.commit === sha);
          return found !== undefined && states.includes(found.state) ? useCases.promotions.show(found.id) : null;
        },
        () => story(name),
      ),
    async request(name: string, release: string, more: Partial<PromoteRequest> = {}) {
      const answer = await ask({ project, environment: name, release, ...more });
      if (answer.kind === 'started') return answer.promotion;
      throw new Error('It was a dry run.');
    },
    async would(name: string, release: string, more: Partial<PromoteRequest> = {}) {
      const answer = await ask({ project, environment: name, release, dryRun: true, ...more });
      if (answer.kind === 'would') return answer;
      throw new Error('It was no dry run.');
    },
    end: () => end({ directory, store, forge, engine, mirrors, manifests, clusters, serial, ending, sweeping }),
  });
}

async function end(parts: {
  directory: string;
  store: Store;
  forge: Forge;
  engine: Engine;
  mirrors: { close(): void };
  ending: AbortController;
  sweeping: Promise<void>;
  serial: SerialWriter;
  manifests: ManifestWriters;
  clusters: Clusters;
}): Promise<void> {
  parts.ending.abort();
  await Promise.all([parts.sweeping, parts.engine.stop({ drainMs: 1000 })]);
  parts.mirrors.close();
  await parts.serial.close();
  await parts.manifests.close();
  await parts.clusters.close();
  await parts.forge.close();
  await parts.store.close();
  await rm(parts.directory, { recursive: true, force: true, maxRetries: 5 });
}

function ifUnknown(error: unknown): null {
  if (hasCode(error, 'environment.unknown', 'project.unknown', 'release.unknown')) return null;
  throw error;
}

function unready(): never {
  throw new Error('A workflow was started before the workflows were made.');
}
