import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type ForgeRepository, startForge } from '../../git/testing/forge.ts';
import { systemClock } from '../../lib/clock.ts';
import { sha256 } from '../../lib/digest.ts';
import { createHostAccess } from '../../source/host-access.ts';
import type { Store } from '../../store/database.ts';
import { testStore } from '../../store/testing.ts';
import type { GitopsConfig } from '../gitops/config.ts';
import { createGitopsDriver } from '../gitops/gitops.ts';
import { createManifestWriters } from '../gitops/manifest-writers.ts';
import { createSerialWriter } from '../gitops/serial-writer.ts';
import { REQUEST_TOKEN, requestHost, type RequestHost, type RequestHostKind } from '../gitops/testing/request-host.ts';
import type { ClusterOf } from '../gitops/watch/watch-of.ts';
import { targetKey } from '../rollout.ts';
import { HOSTILE } from './hostile.ts';
import type { DriverUnderTest } from './rollouts.ts';

const SERVICES = ['web', 'worker', ...HOSTILE];

/**
 * The gitops driver over a real git server, with a file of manifests for each target.
 * @param kind of the host at which it opens requests; without one it pushes
 */
export async function gitopsUnderTest(
  clusterOf: ClusterOf = () => Promise.reject(new Error('Nobody is asked.')),
  kind: RequestHostKind | null = null,
): Promise<
  DriverUnderTest & { readonly store: Store; readonly repository: ForgeRepository; readonly host: RequestHost }
> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-gitops-'));
  const [store, forge] = await Promise.all([testStore(), startForge()]);
  const repository = await forge.createRepository('team/manifests');
  const host = requestHost(forge, repository, kind ?? 'github');
  await repository.commit({ files: { 'README.md': 'Manifests\n' } });
  const made: { close(): Promise<void> }[] = [];
  const known = new Map<string, Promise<GitopsConfig>>();
  return {
    store,
    repository,
    host,
    restart: () => {
      const serial = createSerialWriter({ store, holder: randomUUID(), windowMs: 20 });
      const hosts = createHostAccess({
        clock: systemClock,
        secretOf: () => Promise.resolve(REQUEST_TOKEN),
        wait: () => Promise.resolve(),
      });
      const writers = createManifestWriters({ directory, remoteOf: (url) => ({ url, allow: ['http'] }) });
      made.push(serial, writers);
      return createGitopsDriver({
        store,
        serial,
        writerOf: writers.of,
        clusterOf,
        hosts,
        lookMs: 20,
        patienceMs: 2000,
      });
    },
    settingsOf: (target) => {
      const key = targetKey(target);
      const settings = known.get(key) ?? manifestsOf(repository, key, kind);
      known.set(key, settings);
      return settings;
    },
    image: (version, behaviour) =>
      Promise.resolve({ image: 'registry.test/shop/web', digest: sha256(`${version} ${behaviour}`) }),
    /** As somebody who commits with git does. */
    harm: async (target, service) => {
      const file = `${targetKey(target)}/images.yaml`;
      const text = await repository.git('show', `main:${file}`);
      const line = new RegExp(`^( {2}s${SERVICES.indexOf(service)}: \\{ image:) [^ ]+`, 'm');
      await repository.commit({ files: { [file]: `${text.replace(line, '$1 shop/web:hotfix')}\n` } });
    },
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

async function manifestsOf(
  repository: ForgeRepository,
  folder: string,
  kind: RequestHostKind | null,
): Promise<GitopsConfig> {
  const lines = SERVICES.map((_service, index) => `  s${index}: { image: shop/web:v0 }\n`);
  await repository.commit({ files: { [`${folder}/images.yaml`]: `services:\n${lines.join('')}` } });
  return {
    repository: repository.url,
    folder,
    author: { name: 'Towpath', email: 'towpath@example.com' },
    write: 'digest',
    success: 'commit',
    ...(kind === null ? {} : { host: kind, credential: 'env:TOKEN', request: { within: 60_000 } }),
    services: Object.fromEntries(
      SERVICES.map((service, index) => [service, [{ file: 'images.yaml', image: `services.s${index}.image` }]]),
    ),
  };
}
