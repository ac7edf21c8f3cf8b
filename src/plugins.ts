import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { createDockerfileBuilder } from './artifact/builders/dockerfile/dockerfile-builder.ts';
import { dockerTool } from './artifact/builders/dockerfile/docker-tool.ts';
import { createNodeBuilder, nodeBasePin } from './artifact/builders/node/create.ts';
import { checks } from './check/checks.ts';
import { dockerWhenNeeded, findDocker } from './container/docker/engine.ts';
import { dockerTaskRunner } from './container/docker/task-runner.ts';
import { bwrapLauncher } from './container/process/bwrap.ts';
import { hostLauncher } from './container/process/host.ts';
import type { Launcher } from './container/process/launcher.ts';
import { taskRunner } from './container/process/task-runner.ts';
import { readImage } from './container/rootfs/image.ts';
import { ensureRootfs, hostPlatform } from './container/rootfs/unpack.ts';
import type { ImageOnMachine, TaskRunner } from './container/runtime.ts';
import { createDockerDriver } from './deploy/docker/docker.ts';
import { driverConfigs } from './deploy/drivers.ts';
import type { DeployDriver } from './deploy/driver.ts';
import { fileLedger } from './deploy/ledger-store.ts';
import { createProcessDriver } from './deploy/process/process.ts';
import type { Reviver } from './deploy/process/revive.ts';
import { createProxyControl } from './deploy/proxy/control.ts';
import { probe } from './deploy/proxy/probe.ts';
import type { House } from './flow/house.ts';
import { systemClock } from './lib/clock.ts';
import { type Digest, sha256Hex } from './lib/digest.ts';
import { TowpathError } from './lib/error.ts';
import { createRegistryClient } from './registry/client/client.ts';
import { parseReference } from './registry/reference.ts';
import type { Registry } from './registry/registry.ts';
import { secretsOf } from './secret/secret.ts';
import { secretStores } from './secret/stores.ts';

export interface PluginParts {
  readonly data: string;
  /** Downloads and layers: may be shared by servers of a machine, and deleted at any time. */
  readonly cache: string;
  readonly registry: Registry;
  /** What lets an engine of this machine push to our registry. */
  readonly password: () => Promise<string>;
}

export interface Plugins extends Pick<
  House,
  'families' | 'builders' | 'drivers' | 'checkToolsFor' | 'resolveBase' | 'secretOf'
> {
  readonly platform: string;
  /** Starts again what should run on this machine and does not. */
  readonly revive: Reviver['revive'];
}

/** Every member of every family, with the tools that it works with on this machine. */
export async function createPlugins({ data, cache, registry, password }: PluginParts): Promise<Plugins> {
  const platform = hostPlatform();
  const secrets = secretsOf(secretStores(process.env));
  const docker = {
    credentials: async (host: string) =>
      host === registry.host ? { username: 'towpath', password: await password() } : null,
  };
  const engine = dockerWhenNeeded(docker);
  const launchers = [bwrapLauncher(), hostLauncher()];
  const rootfsDirectory = join(data, 'rootfs');
  const tasks = launchers.map((launcher) => taskRunner(launcher, join(data, 'work')));
  const unpacked = (repository: string, image: Digest, signal: AbortSignal): Promise<ImageOnMachine> =>
    ensureRootfs(registry, repository, image, { directory: rootfsDirectory, host: registry.host, platform, signal });

  const builders = [
    createNodeBuilder({
      images: registry,
      cacheDirectory: cache,
      tasks,
      imageOnMachine: (_runner, { repository, digest }, signal) => unpacked(repository, digest, signal),
      locateBase: (reference) => {
        const { host, repository } = parseReference(reference);
        return { images: outside(host), repository };
      },
    }),
    createDockerfileBuilder({
      images: registry,
      registryHost: registry.host,
      tool: async () => {
        const found = await findDocker(docker);
        return found === null ? null : dockerTool(found);
      },
    }),
  ];

  const cutover = createProxyControl({ directory: join(data, 'proxy'), command: proxyCommand() });
  const ledger = fileLedger(join(data, 'run', 'ledger'));
  const local = { cutover, ledger, secrets, probe, clock: systemClock };
  const processDriver = createProcessDriver({
    ...local,
    directory: join(data, 'run'),
    rootfsDirectory,
    images: registry,
    host: registry.host,
    launchers,
  });
  const dockerDriver = createDockerDriver({ ...local, engine, installation: sha256Hex(data).slice(0, 8) });
  const drivers: DeployDriver[] = [processDriver, dockerDriver];

  return {
    platform,
    families: {
      builders,
      drivers: Object.entries(driverConfigs).map(([name, config]) => ({ name, config })),
      checks,
    },
    builders: new Map(builders.map((builder) => [builder.name, builder])),
    drivers: new Map(drivers.map((driver) => [driver.name, driver])),
    async checkToolsFor(repository) {
      const found = await findDocker(docker);
      const directory = join(data, 'work');
      if (found === null)
        return {
          runner: await firstUsable(launchers, tasks),
          image: (_service, digest, signal) => unpacked(repository, digest, signal),
          directory,
        };
      return {
        runner: dockerTaskRunner(found),
        image: (_service, digest) => pulled(registry, repository, digest, platform),
        directory,
      };
    },
    async resolveBase(reference) {
      const own = nodeBasePin(reference, platform);
      if (own !== null) return own;
      const { host, repository, tag, digest } = parseReference(reference);
      return (await outside(host).manifest(repository, digest ?? tag ?? 'latest'))?.digest ?? null;
    },
    secretOf: (reference) => secrets.resolve(reference),
    revive: (log) => processDriver.revive(log),
  };
}

const registries = new Map<string, Registry>();

function outside(host: string): Registry {
  const known = registries.get(host) ?? createRegistryClient({ host });
  registries.set(host, known);
  return known;
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

/** Where no engine is, the best that this machine allows; the last one always works, and isolates nothing. */
async function firstUsable(launchers: readonly Launcher[], tasks: readonly TaskRunner[]): Promise<TaskRunner> {
  for (const [index, launcher] of launchers.entries()) {
    const task = tasks[index];
    if (task !== undefined && (await launcher.available())) return task;
  }
  throw new TowpathError({
    code: 'container.no-runner',
    what: 'Nothing on this machine can run a program of an image.',
    fix: 'Start a Docker Engine, or install bubblewrap.',
  });
}

/** This very program, as it was started: the proxy is a process of its own that outlives the server. */
function proxyCommand(): [string, ...string[]] {
  return [process.execPath, fileURLToPath(new URL('../bin/towpath.js', import.meta.url)), 'proxy'];
}
