import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findGoProgram } from '../../../tools/go-programs.js';
import { makeTestImage } from '../../../tools/test-machine/image.ts';
import { pushTestImage } from '../../../tools/test-machine/oci-image.ts';
import { debianRegistryHost, type Swarm, swarmOf } from '../../../tools/test-machine/machine.ts';
import { connectDocker, type DockerEngine } from '../../container/docker/engine.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Digest } from '../../lib/digest.ts';
import { secretsOf } from '../../secret/secret.ts';
import { envSecrets } from '../../secret/stores/env/env.ts';
import { composeProgram } from '../compose/program.ts';
import { fileLedger } from '../ledger-store.ts';
import { createProxyControl } from '../proxy/control.ts';
import { SwarmConfig } from '../swarm/config.ts';
import { placeLabels, LABEL } from '../swarm/names.ts';
import { createSwarmDriver, type SwarmDriver } from '../swarm/swarm.ts';
import { PROGRAM_ARGV, PROGRAM_WORKDIR, programFiles } from './program.ts';
import { proxyCommand } from './proxy-program.ts';
import { sourceOf } from './source.ts';
import { CANARY, type DriverUnderTest } from './rollouts.ts';

let installations = 0;

export interface SwarmUnderTest extends DriverUnderTest {
  readonly swarm: Swarm;
  readonly installation: string;
  /** What deployments from now on find in the repository, and what towpath.yaml says from now on. */
  files: Readonly<Record<string, string>>;
  settings: Readonly<Record<string, unknown>>;
  /** Of a manager, by its number. */
  engine(number: number): Promise<DockerEngine>;
  /** The driver as it is by this manager. */
  by(number: number): SwarmDriver;
  readonly relay: Relay;
}

/** The way of the engines to the registry. */
interface Relay {
  readonly host: string;
  readonly server: Server;
  /** From now on an engine whose address does not pass waits for what it asks the registry. */
  hold(passes: (address: string) => boolean): void;
  letGo(): void;
}

/** The swarm driver on the private Swarm of this test run, with a proxy process of its own. */
export async function swarmUnderTest(managers: 1 | 3): Promise<SwarmUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-swarm-'));
  const installation = `test${process.pid}-${(installations += 1)}`;
  const swarm = await swarmOf(managers);
  const relay = await relayTo(await debianRegistryHost(), swarm.gateway);
  const engines = new Map<number, Promise<DockerEngine>>();
  const engine = (number: number): Promise<DockerEngine> => {
    const known = engines.get(number) ?? connectDocker({ host: swarm.nodes[number]?.host });
    engines.set(number, known);
    return known;
  };
  const proxy = createProxyControl({ directory: join(directory, 'proxy'), command: await proxyCommand() });
  const compose = composeProgram({
    path: findGoProgram('docker-compose').path,
    environment: { PATH: process.env['PATH'] },
    home: join(directory, 'home'),
  });
  const image = `${relay.host}/shop/web`;
  const digests = new Map<string, Digest>();
  const by = (number: number): SwarmDriver =>
    createSwarmDriver({
      engine: () => engine(number),
      installation,
      clock: systemClock,
      compose,
      mark: join(directory, 'uses-swarm'),
      cutover: proxy,
      ledger: fileLedger(join(directory, 'ledger')),
      secrets: secretsOf([envSecrets({ CANARY_OF_THE_TEST: CANARY })]),
    });
  const under: SwarmUnderTest = {
    swarm,
    installation,
    files: {},
    settings: {},
    engine,
    by,
    relay,
    restart: () => by(0),
    settingsOf: () => Promise.resolve(SwarmConfig.parse(under.settings)),
    sourceOf: () => sourceOf(under.files),
    image: async (version, behaviour) => {
      const known = digests.get(`${version} ${behaviour}`);
      if (known !== undefined) return { image, digest: known };
      const files = programFiles(version, behaviour);
      const made = await makeTestImage({ base: 'node', files, argv: PROGRAM_ARGV, workdir: PROGRAM_WORKDIR });
      await pushTestImage(relay.host, 'shop/web', made);
      digests.set(`${version} ${behaviour}`, made.digest);
      return { image, digest: made.digest };
    },
    /** As `docker service rm` does. */
    harm: async (target, service) => {
      const { docker } = await engine(0);
      const labels = { ...placeLabels({ target, installation }), [LABEL.service]: service };
      const filters = JSON.stringify({ label: Object.entries(labels).map(([name, value]) => `${name}=${value}`) });
      for (const { ID } of await docker.listServices({ filters })) await docker.getService(ID).remove();
    },
    traces: async (text) => {
      const { docker } = await engine(0);
      const filters = JSON.stringify({ label: [`dev.towpath.installation=${installation}`] });
      const containers = await docker.listContainers({ all: true, filters });
      const open = await Promise.all([
        docker.listServices({ filters }),
        docker.listSecrets({ filters }),
        docker.listConfigs({ filters }),
        ...containers.map(({ Id }) => docker.getContainer(Id).inspect()),
      ]);
      return open.map((each) => JSON.stringify(each)).filter((words) => words.includes(text));
    },
    dispose: async () => {
      await proxy.shutdown();
      relay.server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return under;
}

/** Lets engines in other network namespaces reach a server that listens on this machine's loopback. */
async function relayTo(target: string, gateway: string): Promise<Relay> {
  const [host, port] = target.split(':');
  let passes = (_address: string): boolean => true;
  const open = new Set<Socket>();
  const waiting = new Set<Socket>();
  const isOurs = ({ remoteAddress }: Socket): boolean => remoteAddress === gateway; // who pushes images
  const pass = (incoming: Socket): void => {
    const outgoing = connect(Number(port), host);
    incoming.on('close', () => outgoing.destroy());
    outgoing.on('error', () => incoming.destroy());
    incoming.pipe(outgoing).pipe(incoming);
  };
  const server = createServer((incoming) => {
    open.add(incoming);
    incoming.on('error', () => incoming.destroy());
    incoming.on('close', () => open.delete(incoming) && waiting.delete(incoming));
    if (isOurs(incoming) || passes(incoming.remoteAddress ?? '')) pass(incoming);
    else waiting.add(incoming);
  });
  server.unref();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, gateway, resolve));
  return {
    host: `${gateway}:${(server.address() as AddressInfo).port}`,
    server,
    hold: (only) => {
      passes = only;
      for (const socket of open) if (!isOurs(socket)) socket.destroy(); // one that is kept open would pass by
    },
    letGo: () => {
      passes = () => true;
      for (const socket of waiting) pass(socket);
      waiting.clear();
    },
  };
}
