import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findGoProgram } from '../../../tools/go-programs.js';
import { makeTestImage } from '../../../tools/test-machine/image.ts';
import { pushTestImage } from '../../../tools/test-machine/oci-image.ts';
import { debianRegistryHost, dockerHost } from '../../../tools/test-machine/machine.ts';
import { connectDocker, type DockerEngine } from '../../container/docker/engine.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Digest } from '../../lib/digest.ts';
import { secretsOf } from '../../secret/secret.ts';
import { envSecrets } from '../../secret/stores/env/env.ts';
import { createComposeDriver } from '../compose/compose.ts';
import { ComposeConfig } from '../compose/config.ts';
import { type ComposeProgram, composeProgram } from '../compose/program.ts';
import { createDockerDriver } from '../docker/docker.ts';
import type { DeployDriver } from '../driver.ts';
import { fileLedger } from '../ledger-store.ts';
import type { LocalConfig } from '../local.ts';
import { createProxyControl } from '../proxy/control.ts';
import type { RolloutAction } from '../rollout.ts';
import { removeByHand, tracesIn } from './docker-machine.ts';
import { HOSTILE } from './hostile.ts';
import { PROGRAM_ARGV, PROGRAM_WORKDIR, programFiles } from './program.ts';
import { proxyCommand } from './proxy-program.ts';
import { CANARY, type DriverUnderTest } from './rollouts.ts';
import { sourceOf } from './source.ts';

let installations = 0;

export interface ComposeUnderTest extends DriverUnderTest {
  readonly engine: DockerEngine;
  readonly installation: string;
  /** As people use it beside Towpath. */
  readonly compose: ComposeProgram;
  /** Another driver of the same machine. */
  docker(): DeployDriver<LocalConfig, RolloutAction>;
  /** What deployments from now on find in the repository; without it a compose file that builds each service. */
  files: Readonly<Record<string, string>> | null;
  /** What towpath.yaml says from now on. */
  settings: Readonly<Record<string, unknown>>;
}

/** The compose driver with a real Docker Compose on the private engine of this test run. */
export async function composeUnderTest(): Promise<ComposeUnderTest> {
  const { path, missing } = findGoProgram('docker-compose');
  if (path === undefined) throw new Error(missing);
  const directory = await mkdtemp(join(tmpdir(), 'towpath-compose-test-'));
  const installation = `test${process.pid}-c${(installations += 1)}`;
  const [registry, host] = await Promise.all([debianRegistryHost(), dockerHost()]);
  const engine = await connectDocker({ host });
  const environment = { PATH: process.env['PATH'], DOCKER_HOST: host };
  const compose = composeProgram({ path, environment, home: join(directory, 'home') });
  const proxy = createProxyControl({ directory: join(directory, 'proxy'), command: await proxyCommand() });
  const image = `${registry}/shop/web`;
  const digests = new Map<string, Digest>();
  const parts = {
    engine: () => Promise.resolve(engine),
    installation,
    clock: systemClock,
    cutover: proxy,
    ledger: fileLedger(join(directory, 'ledger')),
    secrets: secretsOf([envSecrets({ CANARY_OF_THE_TEST: CANARY })]),
  };
  const under: ComposeUnderTest = {
    engine,
    installation,
    compose,
    files: null,
    settings: {},
    restart: () => createComposeDriver({ ...parts, compose }),
    docker: () => createDockerDriver(parts),
    settingsOf: () => {
      const config = ComposeConfig.parse({ volumes: 'remove', ...under.settings });
      return Promise.resolve({
        ...config,
        services: { ...Object.fromEntries(HOSTILE.map((name) => [name, 'web'])), ...config.services },
      });
    },
    sourceOf: (services) =>
      sourceOf(under.files ?? { 'compose.yaml': builtBy(services.map(({ service }) => service)) }),
    image: async (version, behaviour) => {
      const known = digests.get(`${version} ${behaviour}`);
      if (known !== undefined) return { image, digest: known };
      const files = programFiles(version, behaviour);
      const made = await makeTestImage({ base: 'node', files, argv: PROGRAM_ARGV, workdir: PROGRAM_WORKDIR });
      await pushTestImage(registry, 'shop/web', made);
      digests.set(`${version} ${behaviour}`, made.digest);
      return { image, digest: made.digest };
    },
    harm: (target, service) => removeByHand({ engine, installation }, target, service),
    traces: (text) => tracesIn({ engine, installation, directory }, text),
    dispose: async () => {
      await proxy.shutdown();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return under;
}

/** As people write them: each service is built from its folder and opens its port. */
function builtBy(services: readonly string[]): string {
  const lines = services.map((service) => {
    const name = HOSTILE.includes(service) ? 'web' : service;
    return `  ${name}:\n    build: ./${name}\n${name === 'web' ? '    ports: ["8080:3000"]\n' : ''}`;
  });
  return `services:\n${lines.join('')}`;
}
