import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { createIssuerKeys } from './access/oidc/issuer-keys.ts';
import { builders, type BuilderParts } from './artifact/builders.ts';
import { findDockerfileTool } from './artifact/builders/dockerfile/find-tool.ts';
import { nodeBasePin } from './artifact/builders/node/create.ts';
import { functionImages } from './artifact/builders/serverless/function-image.ts';
import { advisoriesIn } from './check/kinds/scan/advisories/folder.ts';
import { ecrPlace } from './check/kinds/scan/ecr/place.ts';
import { sealedKeys } from './attestation/signers/key/key.ts';
import { familiesWith } from './config/families.ts';
import { type CredentialsOf, dockerWhenNeeded, findDocker } from './container/docker/engine.ts';
import { dockerTaskRunner, sweepDockerTasks } from './container/docker/task-runner.ts';
import { serviceLaunchers, usableTaskRunners } from './container/process/launchers.ts';
import { sweepTasks } from './container/process/sweep-tasks.ts';
import { type ImageSource, readImage } from './container/rootfs/image.ts';
import { ensureRootfs, hostPlatform, sweepRootfs } from './container/rootfs/unpack.ts';
import type { ImageOnMachine } from './container/runtime.ts';
import { createComposeDriver } from './deploy/compose/compose.ts';
import { composeProgram } from './deploy/compose/program.ts';
import { createDockerDriver } from './deploy/docker/docker.ts';
import type { DeployDriver } from './deploy/driver.ts';
import type { DriverModule } from './deploy/outside/driver-module.ts';
import { makeDriver } from './deploy/outside/make-driver.ts';
import { driverTools } from './deploy/outside/tools.ts';
import { createGitopsDriver } from './deploy/gitops/gitops.ts';
import { createKubernetesDriver } from './deploy/kubernetes/kubernetes.ts';
import { createRenderer } from './deploy/kubernetes/render.ts';
import { createManifestWriters } from './deploy/gitops/manifest-writers.ts';
import { createClusters } from './container/kubernetes/clusters.ts';
import { createSerialWriter } from './deploy/gitops/serial-writer.ts';
import { fileLedger } from './deploy/ledger-store.ts';
import { createProcessDriver } from './deploy/process/process.ts';
import { startedDigests } from './deploy/process/runtime.ts';
import { createProxyControl } from './deploy/proxy/control.ts';
import { probe } from './deploy/proxy/probe.ts';
import { createSwarmDriver, MANAGER_SILENCE_MS } from './deploy/swarm/swarm.ts';
import type { MachineCare } from './flow/care/care.ts';
import { passBoundary } from './flow/engine/fault.ts';
import type { House } from './flow/house.ts';
import type { OutsideServer, Servers } from './check/server.ts';
import { systemClock } from './lib/clock.ts';
import { type Digest, sha256Hex } from './lib/digest.ts';
import { TowpathError } from './lib/error.ts';
import { createFence } from './lib/fence/fence.ts';
import { mailServerFrom } from './notify/messengers/email/mail-server.ts';
import { accessKeys } from './registry/aws/keys.ts';
import { outsideRegistries } from './registry/client/outside.ts';
import { parseReference } from './registry/reference.ts';
import type { Registry } from './registry/registry.ts';
import { outsideAgents } from './registry/client/agents.ts';
import { bucketZips } from './registry/s3/bucket-zips.ts';
import { bucketPlace } from './registry/s3/place.ts';
import { ensureKeyFile } from './secret/key-file-store.ts';
import { secretsOf } from './secret/secret.ts';
import { secretStores } from './secret/stores.ts';
import { createHostAccess } from './source/host-access.ts';
import type { Store } from './store/database.ts';

export interface PluginParts {
  readonly data: string;
  /** Downloads and layers: may be shared by servers of a machine, and deleted at any time. */
  readonly cache: string;
  readonly registry: Registry;
  /** `s3://BUCKET[/PREFIX]` for zips; the registry where it is not given. */
  readonly zips: string | undefined;
  /** Where advisories lie; a folder of `data` where it is not given. */
  readonly advisories: string | undefined;
  readonly store: Store;
  /** Drivers that are not of this version. */
  readonly outsideDrivers: readonly DriverModule[];
  /** How manifest repositories are reached. */
  readonly remoteOf: House['remoteOf'];
  /** What lets an engine of this machine push to our registry. */
  readonly credentials: (host: string) => Promise<{ readonly username: string; readonly password: string } | null>;
  /** True for the embedded one. */
  readonly registryIsOurs: boolean;
  /** What opens an image there for some minutes, to pull it and for nothing else. */
  readonly pullPass: (repository: string) => Promise<string>;
}

export interface Plugins extends Pick<
  House,
  | 'families'
  | 'advisories'
  | 'bucket'
  | 'builders'
  | 'drivers'
  | 'checkToolsFor'
  | 'resolveBase'
  | 'registryAt'
  | 'secretOf'
  | 'hosts'
  | 'keys'
  | 'issuerKeys'
  | 'outgoing'
> {
  readonly platform: string;
  readonly machine: Omit<MachineCare, 'sweepUploads'>;
  /** The local proxy is a process of its own; it ends when it is told to. */
  readonly endProxy: () => Promise<void>;
  /** Gives the leases of manifest branches back. */
  readonly closeManifests: () => Promise<void>;
}

/** Every member of every family, with the tools that it works with on this machine. */
export async function createPlugins(options: PluginParts): Promise<Plugins> {
  const { data, cache, registry, zips, credentials } = options;
  const platform = hostPlatform();
  const advisories = advisoriesIn(options.advisories ?? join(data, 'advisories'));
  const secrets = secretsOf(secretStores(process.env, data));
  const secretOf = (reference: string): Promise<string> => secrets.resolve(reference);
  const docker = { credentials };
  const engine = dockerWhenNeeded(docker);
  const outside = outsideRegistries({ environment: process.env });
  const agentFor = outsideAgents({ environment: process.env });
  const fence = createFence({ allow: process.env['TOWPATH_OUTGOING_ALLOW'] });
  const fencedAgentFor = outsideAgents({ environment: process.env, fence });
  const keysOf = (of: string, variable: string) => accessKeys(process.env, { of, variable }, secretOf);
  const bucket =
    zips === undefined
      ? null
      : bucketZips({
          place: bucketPlace(zips, process.env),
          keys: keysOf('the bucket that holds zips', 'TOWPATH_ZIPS_KEYS'),
          agentFor,
        });
  const place = ecrPlace(registry.host, process.env);
  const ecr = place === null ? null : { place, keys: keysOf('Amazon ECR', 'TOWPATH_ECR_KEYS'), agentFor };
  const rootfsDirectory = join(data, 'rootfs');
  const work = join(data, 'work');
  /** There once a check was asked by an engine: what a kill left there is looked for, and elsewhere no client is loaded. */
  const usesDocker = join(work, 'uses-docker');
  const tasks = await usableTaskRunners(work);
  const unpacked = (
    images: ImageSource,
    repository: string,
    image: Digest,
    signal: AbortSignal,
  ): Promise<ImageOnMachine> =>
    ensureRootfs(images, repository, image, { directory: rootfsDirectory, host: registry.host, platform, signal });

  const registryAt = (host: string): Registry => (host === registry.host ? registry : outside(host));
  const locate = (reference: string): { host: string; images: Registry; repository: string } => {
    const { host, repository } = parseReference(reference);
    return { host, images: registryAt(host), repository };
  };
  const parts: BuilderParts = {
    images: registry,
    bucket,
    cacheDirectory: cache,
    debianMirrors: (process.env['TOWPATH_DEBIAN_MIRROR'] ?? '').split(' ').filter((mirror) => mirror !== ''),
    // whatever an install script does, it does inside the base image and out of reach of this machine's files
    tasks: tasks.filter(({ isolates }) => isolates),
    imageOnMachine: (_runner, { images, repository, digest }, signal) => unpacked(images, repository, digest, signal),
    locateBase: locate,
    registryHost: registry.host,
    dockerfileTool: () =>
      findDockerfileTool({ engine, buildah: { directory: join(data, 'buildah'), credentials: docker.credentials } }),
  };

  const runnable = functionImages(parts, platform);

  const installation = sha256Hex(data).slice(0, 8);
  const cutover = createProxyControl({ directory: join(data, 'proxy'), command: proxyCommand() });
  const ledger = fileLedger(join(data, 'run', 'ledger'));
  const local = { cutover, ledger, secrets, probe, clock: systemClock };
  const processDriver = createProcessDriver({
    ...local,
    directory: join(data, 'run'),
    work,
    rootfsDirectory,
    locate,
    launchers: serviceLaunchers(),
  });
  const dockerDriver = createDockerDriver({ ...local, engine, installation });
  const hosts = createHostAccess({ clock: systemClock, secretOf, wait: (ms) => pause(ms) });
  const serial = createSerialWriter({
    store: options.store,
    holder: randomUUID(),
    passed: (point) => passBoundary(point, 'done', 'manifests'),
  });
  const clusters = createClusters({ environment: process.env, clock: systemClock, secretOf });
  const manifests = createManifestWriters({ directory: join(data, 'manifests'), remoteOf: options.remoteOf });
  const gitopsDriver = createGitopsDriver({
    store: options.store,
    serial,
    writerOf: manifests.of,
    clusterOf: clusters.of,
    hosts,
  });
  const compose = composeProgram({
    path: process.env['TOWPATH_COMPOSE'] || undefined,
    environment: process.env,
    home: join(data, 'compose'),
  });
  const swarmDriver = createSwarmDriver({
    ...local,
    engine: dockerWhenNeeded({
      host: process.env['TOWPATH_SWARM_HOST'] || undefined,
      credentials: nodeCredentials(options),
      silenceMs: MANAGER_SILENCE_MS,
    }),
    installation,
    compose,
    mark: join(data, 'run', 'uses-swarm'),
  });
  const composeDriver = createComposeDriver({ ...local, engine, installation, compose });
  const kubernetesDriver = createKubernetesDriver({
    store: options.store,
    installation,
    secrets,
    clock: systemClock,
    ledger,
    environment: process.env,
    renderer: createRenderer({
      kustomize: process.env['TOWPATH_KUSTOMIZE'] || 'kustomize',
      helm: process.env['TOWPATH_HELM'] || 'helm',
    }),
  });
  const drivers: DeployDriver[] = [
    processDriver,
    dockerDriver,
    gitopsDriver,
    swarmDriver,
    composeDriver,
    kubernetesDriver,
    ...options.outsideDrivers.map((module) =>
      makeDriver(
        module,
        driverTools({
          directory: join(data, 'drivers', module.name),
          secretOf,
          credentials: nodeCredentials(options),
        }),
      ),
    ),
  ];

  const outsideServer = ({ url, token }: Pick<NonNullable<Servers['sonar']>, 'url' | 'token'>): OutsideServer => ({
    url,
    token: () => secretOf(token),
    agentFor: fencedAgentFor,
  });

  return {
    platform,
    families: familiesWith(options.outsideDrivers),
    advisories,
    bucket,
    builders: new Map(builders.map((plugin) => [plugin.name, plugin.create(parts)])),
    drivers: new Map(drivers.map((driver) => [driver.name, driver])),
    async checkToolsFor(repository, servers) {
      const { sonar, broker } = servers;
      const outside = {
        sonar: sonar === undefined ? null : outsideServer(sonar),
        broker: broker === undefined ? null : { ...outsideServer(broker), user: broker.user ?? null },
        scanning: {
          imageOf: async (digest: Digest, signal: AbortSignal) => ({
            source: registry,
            repository,
            image: await runnable(repository, digest, signal),
            platform,
          }),
          advisories,
          ecr,
          osvScanner: process.env['TOWPATH_OSV_SCANNER'] || undefined,
          clock: systemClock,
        },
      };
      const found = await findDocker(docker);
      if (found !== null) {
        await mkdir(work, { recursive: true });
        await writeFile(usesDocker, '');
        return {
          runner: dockerTaskRunner(found, installation),
          image: async (_service, digest, signal) =>
            pulled(registry, repository, await runnable(repository, digest, signal), platform),
          directory: work,
          ...outside,
        };
      }
      const [runner] = tasks;
      if (runner === undefined) throw noRunner();
      return {
        runner,
        image: async (_service, digest, signal) =>
          unpacked(registry, repository, await runnable(repository, digest, signal), signal),
        directory: work,
        ...outside,
      };
    },
    async resolveBase(reference) {
      const own = nodeBasePin(reference, platform);
      if (own !== null) return own;
      const { host, repository, tag, digest } = parseReference(reference);
      return (await registryAt(host).manifest(repository, digest ?? tag ?? 'latest'))?.digest ?? null;
    },
    registryAt,
    secretOf,
    hosts,
    keys: sealedKeys(await passphraseOf(data, secretOf)),
    outgoing: { agentFor: fencedAgentFor, mail: mailServerFrom(process.env) },
    issuerKeys: createIssuerKeys({ clock: systemClock, agentFor: fencedAgentFor }),
    machine: {
      revive: (log) => processDriver.revive(log),
      capOutputs: () => processDriver.capOutputs(),
      ensureProxy: () => cutover.ensureServing(),
      leadAgain: () => swarmDriver.leadAgain(),
      async sweepTasks() {
        await sweepTasks(work);
        const found = existsSync(usesDocker) ? await findDocker(docker) : null;
        if (found !== null) await sweepDockerTasks(found, installation);
      },
      async sweepUnpacked(kept, beforeMs) {
        const started = await startedDigests(join(data, 'run', 'instances'));
        return sweepRootfs(rootfsDirectory, new Set([...kept, ...started]), beforeMs);
      },
    },
    endProxy: () => cutover.shutdown(),
    async closeManifests() {
      await serial.close();
      await manifests.close();
      await clusters.close();
    },
  };
}

/** For an engine, which unpacks by itself: only what the image says of its running is read. */
async function pulled(
  registry: Registry,
  repository: string,
  digest: Digest,
  platform: string,
): Promise<ImageOnMachine> {
  const { config } = await readImage(registry, repository, digest, platform);
  return { reference: `${registry.host}/${repository}@${digest}`, config };
}

/** What closes signing keys: the server's own, unless a reference to another is given, which all servers then share. */
async function passphraseOf(
  data: string,
  secretOf: (reference: string) => Promise<string>,
): Promise<() => Promise<string>> {
  const reference = process.env['TOWPATH_SIGNING_PASSPHRASE'] ?? '';
  if (reference !== '') return () => secretOf(reference);
  const own = (await ensureKeyFile(join(data, 'signing-passphrase'))).toString('hex');
  return () => Promise.resolve(own);
}

function noRunner(): TowpathError {
  return new TowpathError({
    code: 'container.no-runner',
    what: 'Nothing on this machine can run a program of an image.',
    fix: 'Start a Docker Engine, or install bubblewrap.',
  });
}

/** The nodes of a Swarm keep what they fetch with: of our own registry they get what opens one image, for some minutes. */
function nodeCredentials({ credentials, registry, registryIsOurs, pullPass }: PluginParts): CredentialsOf {
  return async (host, repository = '') =>
    registryIsOurs && host === registry.host ? { registrytoken: await pullPass(repository) } : credentials(host);
}

/** This very program, as it was started: the proxy is a process of its own that outlives the server. */
function proxyCommand(): [string, ...string[]] {
  return [process.execPath, fileURLToPath(new URL('../bin/towpath.js', import.meta.url)), 'proxy'];
}
