import { chmod, mkdtemp, readFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makeTestImage } from '../../../tools/test-machine/image.ts';
import type { Launcher } from '../../container/process/launcher.ts';
import { serviceLaunchers } from '../../container/process/launchers.ts';
import { removeTree } from '../../container/rootfs/folders.ts';
import { testImages } from '../../container/testing/images.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import type { Digest } from '../../lib/digest.ts';
import { secretsOf } from '../../secret/secret.ts';
import { envSecrets } from '../../secret/stores/env/env.ts';
import { fileLedger } from '../ledger-store.ts';
import { createProcessDriver } from '../process/process.ts';
import { readRecords } from '../process/record.ts';
import { createProxyControl, type ProxyControl } from '../proxy/control.ts';
import { probe } from '../proxy/probe.ts';
import { targetKey } from '../rollout.ts';
import { PROGRAM_ARGV, PROGRAM_WORKDIR, programFiles } from './program.ts';
import { proxyCommand } from './proxy-program.ts';
import { CANARY, type DriverUnderTest } from './rollouts.ts';

export interface ProcessUnderTest extends DriverUnderTest {
  restart(): ReturnType<typeof createProcessDriver>;
  readonly proxy: ProxyControl;
  readonly directory: string;
}

/** The process driver on this machine, with a proxy process of its own and images in memory. */
export async function processUnderTest(
  launchers: readonly Launcher[] = serviceLaunchers(),
  clock: Clock = systemClock,
): Promise<ProcessUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-process-'));
  await chmod(directory, 0o711); // without a root folder of their own, programs have to get to theirs
  const images = testImages();
  const image = `${images.host}/shop/web`;
  const digests = new Map<string, Digest>();
  const proxy = createProxyControl({ directory: join(directory, 'proxy'), command: await proxyCommand() });
  return {
    proxy,
    directory,
    restart: () =>
      createProcessDriver({
        directory: join(directory, 'run'),
        work: join(directory, 'work'),
        rootfsDirectory: join(directory, 'rootfs'),
        locate: () => ({ host: images.host, images, repository: 'shop/web' }),
        launchers,
        clock,
        cutover: proxy,
        ledger: fileLedger(join(directory, 'ledger')),
        secrets: secretsOf([envSecrets({ CANARY_OF_THE_TEST: CANARY })]),
        probe,
      }),
    image: async (version, behaviour) => {
      const known = digests.get(`${version} ${behaviour}`);
      if (known !== undefined) return { image, digest: known };
      const files = programFiles(version, behaviour);
      const made = await makeTestImage({ base: 'node', files, argv: PROGRAM_ARGV, workdir: PROGRAM_WORKDIR });
      images.take(made);
      digests.set(`${version} ${behaviour}`, made.digest);
      return { image, digest: made.digest };
    },
    /** As `kill -9` does, with all of a service. */
    harm: async (target, service) => {
      const { known } = await readRecords(join(directory, 'run', 'instances', targetKey(target)));
      for (const { pid, service: of } of known)
        if (of.service === service && pid !== null) process.kill(-pid, 'SIGKILL'); // the whole group
    },
    traces: async (text) => [...(await filesWith(directory, text)), ...(await processesWith(text))],
    dispose: async () => {
      await proxy.shutdown();
      await removeTree(directory);
    },
  };
}

/** Images are left out: they are the same for all. */
async function filesWith(directory: string, text: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory() && entry.name !== 'rootfs') found.push(...(await filesWith(path, text)));
    if (entry.isFile() && (await readFile(path, 'latin1')).includes(text)) found.push(path);
  }
  return found;
}

async function processesWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    for (const file of ['cmdline', 'environ']) {
      const content = await readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '');
      if (content.includes(text)) found.push(`/proc/${pid}/${file}`);
    }
  }
  return found;
}
