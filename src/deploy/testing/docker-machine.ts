import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makeTestImage } from '../../../tools/test-machine/image.ts';
import { pushTestImage } from '../../../tools/test-machine/oci-image.ts';
import { debianRegistryHost, dockerHost } from '../../../tools/test-machine/machine.ts';
import { lastLines, listContainers, removeContainer } from '../../container/docker/containers.ts';
import { connectDocker, type DockerEngine } from '../../container/docker/engine.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Digest } from '../../lib/digest.ts';
import { secretsOf } from '../../secret/secret.ts';
import { envSecrets } from '../../secret/stores/env/env.ts';
import { createDockerDriver } from '../docker/docker.ts';
import { LABEL } from '../docker/labels.ts';
import { fileLedger } from '../ledger-store.ts';
import type { Target } from '../driver.ts';
import { createProxyControl } from '../proxy/control.ts';
import { targetKey } from '../rollout.ts';
import { PROGRAM_ARGV, PROGRAM_WORKDIR, programFiles } from './program.ts';
import { proxyCommand } from './proxy-program.ts';
import { CANARY, type DriverUnderTest } from './rollouts.ts';

let installations = 0;

/** The docker driver on the private engine of this test run, with a proxy process of its own. */
export async function dockerUnderTest(): Promise<DriverUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-docker-'));
  const installation = `test${process.pid}-${(installations += 1)}`;
  const host = await debianRegistryHost();
  const engine = await connectDocker({ host: await dockerHost() });
  const proxy = createProxyControl({ directory: join(directory, 'proxy'), command: await proxyCommand() });
  const image = `${host}/shop/web`;
  const digests = new Map<string, Digest>();
  return {
    restart: () =>
      createDockerDriver({
        engine: () => Promise.resolve(engine),
        installation,
        clock: systemClock,
        cutover: proxy,
        ledger: fileLedger(join(directory, 'ledger')),
        secrets: secretsOf([envSecrets({ CANARY_OF_THE_TEST: CANARY })]),
      }),
    image: async (version, behaviour) => {
      const known = digests.get(`${version} ${behaviour}`);
      if (known !== undefined) return { image, digest: known };
      const files = programFiles(version, behaviour);
      const made = await makeTestImage({ base: 'node', files, argv: PROGRAM_ARGV, workdir: PROGRAM_WORKDIR });
      await pushTestImage(host, 'shop/web', made);
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
}

/** As `docker rm --force` does, with all containers of a service. */
export async function removeByHand(
  { engine, installation }: { readonly engine: DockerEngine; readonly installation: string },
  target: Target,
  service: string,
): Promise<void> {
  const labels = {
    [LABEL.installation]: installation,
    [LABEL.target]: targetKey(target),
    [LABEL.service]: service,
  };
  for (const { id } of await listContainers(engine, labels)) await removeContainer(engine, id);
}

/** Where a text shows: in what the engine tells of containers of an installation, in what they print, in files of a folder. */
export async function tracesIn(
  {
    engine,
    installation,
    directory,
  }: { readonly engine: DockerEngine; readonly installation: string; readonly directory: string },
  text: string,
): Promise<string[]> {
  const containers = await listContainers(engine, { [LABEL.installation]: installation });
  const seen = await Promise.all(
    containers.map(async ({ name, id }) => {
      const inspected = JSON.stringify(await engine.docker.getContainer(id).inspect());
      return `${name} ${inspected} ${(await lastLines(engine, name, 1000)).join('\n')}`;
    }),
  );
  return [...seen.filter((words) => words.includes(text)), ...(await filesWith(directory, text))];
}

async function filesWith(directory: string, text: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = await Promise.all(files.map((file) => readFile(file, 'latin1')));
  return files.filter((_, index) => contents[index]?.includes(text));
}
