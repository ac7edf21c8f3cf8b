import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type ForgeRepository, startForge } from '../../git/testing/forge.ts';
import { sha256 } from '../../lib/digest.ts';
import { testStore } from '../../store/testing.ts';
import type { GitopsConfig } from '../gitops/config.ts';
import { createGitopsDriver } from '../gitops/gitops.ts';
import { createManifestWriters } from '../gitops/manifest-writers.ts';
import { createSerialWriter } from '../gitops/serial-writer.ts';
import type { ClusterOf } from '../gitops/watch/watch-of.ts';
import { targetKey } from '../rollout.ts';
import { HOSTILE } from './hostile.ts';
import type { DriverUnderTest } from './rollouts.ts';

const SERVICES = ['web', 'worker', ...HOSTILE];

/** The gitops driver over a real git server, with a file of manifests for each target. */
export async function gitopsUnderTest(
  clusterOf: ClusterOf = () => Promise.reject(new Error('Nobody is asked.')),
): Promise<DriverUnderTest & { readonly repository: ForgeRepository }> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-gitops-'));
  const [store, forge] = await Promise.all([testStore(), startForge()]);
  const repository = await forge.createRepository('manifests');
  await repository.commit({ files: { 'README.md': 'Manifests\n' } });
  const made: { close(): Promise<void> }[] = [];
  const known = new Map<string, Promise<GitopsConfig>>();
  return {
    repository,
    restart: () => {
      const serial = createSerialWriter({ store, holder: randomUUID(), windowMs: 20 });
      const writers = createManifestWriters({ directory, remoteOf: (url) => ({ url, allow: ['http'] }) });
      made.push(serial, writers);
      return createGitopsDriver({ store, serial, writerOf: writers.of, clusterOf, patienceMs: 2000 });
    },
    settingsOf: (target) => {
      const key = targetKey(target);
      const settings = known.get(key) ?? manifestsOf(repository, key);
      known.set(key, settings);
      return settings;
    },
    image: (version, behaviour) =>
      Promise.resolve({ image: 'registry.test/shop/web', digest: sha256(`${version} ${behaviour}`) }),
    traces: async (text) =>
      (await repository.git('log', '-p', '--all')).split('\n').filter((line) => line.includes(text)),
    dispose: async () => {
      for (const one of made) await one.close();
      await forge.close();
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function manifestsOf(repository: ForgeRepository, folder: string): Promise<GitopsConfig> {
  const lines = SERVICES.map((_service, index) => `  s${index}: { image: shop/web:v0 }\n`);
  await repository.commit({ files: { [`${folder}/images.yaml`]: `services:\n${lines.join('')}` } });
  return {
    repository: repository.url,
    folder,
    author: { name: 'Towpath', email: 'towpath@example.com' },
    write: 'digest',
    success: 'commit',
    services: Object.fromEntries(
      SERVICES.map((service, index) => [service, [{ file: 'images.yaml', image: `services.s${index}.image` }]]),
    ),
  };
}
