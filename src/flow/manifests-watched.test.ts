import { readFile } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { argocdMissing } from '../../tools/test-machine/argocd.js';
import { kubernetesMissing } from '../../tools/test-machine/kubernetes.js';
import { argocdConfig } from '../../tools/test-machine/machine.ts';
import type { Kubernetes } from '../container/kubernetes/kubernetes.ts';
import { application, APPLICATIONS, deployment } from '../deploy/gitops/testing/application.ts';
import { createClusters } from '../container/kubernetes/clusters.ts';
import type { ForgeRepository } from '../git/testing/forge.ts';
import { systemClock } from '../lib/clock.ts';
import { createWorld, type World } from './testing/world.ts';

const missing = kubernetesMissing() ?? argocdMissing();
if (missing !== null) process.stderr.write(`${missing}\n`);

const NAME = 'promoted';
const services = 'services: { web: { path: services/web, build: text } }\n';
const config = (manifests: string) => `
project: watched
${services}
environments:
  prod:
    on: { merge: main }
    settle: 0ms
    deploy:
      gitops:
        repository: ${manifests}
        folder: ${NAME}
        success: { argocd: { application: ${NAME}, kubeconfig: env:PROD_CLUSTER } }
        services: { web: { file: web.yaml, image: "spec.template.spec.containers[name=web].image" } }
`;

/** From a commit to what Argo CD tells. Nothing is synced by itself here: the tests say when. */
describe.skipIf(missing !== null)('promotions that Argo CD deploys', () => {
  let world: World;
  let manifests: ForgeRepository;
  let cluster: Kubernetes;
  let kubeconfig: string;
  const clusters = createClusters({
    environment: {},
    clock: systemClock,
    secretOf: () => Promise.resolve(kubeconfig),
  });

  beforeAll(async () => {
    kubeconfig = await readFile(await argocdConfig(), 'utf8');
    cluster = await clusters.of({ kubeconfig: 'env:PROD_CLUSTER' });
    world = await createWorld('watched', `${services}environments: {}\n`, { says: { web: 'hello' } });
    world.env['PROD_CLUSTER'] = kubeconfig;
    manifests = await world.forge.createRepository('deployed');
    await manifests.commit({ files: { [`${NAME}/web.yaml`]: deployment(NAME) } });
    await cluster.create('/api/v1/namespaces', { metadata: { name: NAME } });
    await cluster.create(APPLICATIONS, application(NAME, manifests.url, false));
  }, 300_000);
  afterAll(async () => {
    await world?.end();
    await clusters.close();
  });

  const asApplication = (patch: object) => cluster.merge(`${APPLICATIONS}/${NAME}`, patch);
  const image = async (): Promise<string> =>
    /image: (\S+)/.exec(await manifests.git('cat-file', 'blob', `main:${NAME}/web.yaml`))?.[1] ?? '';
  const digestOf = async (commit: string): Promise<string> =>
    (await world.useCases.releases.show(world.project, commit)).services[0]?.digest ?? '';
  /** Until the log of the promotion says that somebody has to sync it. */
  async function waits(commit: string): Promise<string> {
    const { id, logId } = await world.promotion('prod', commit, 'deploying');
    const lines = async () => (await world.useCases.logs.read(logId, undefined)).lines.join('\n');
    await expect.poll(lines, { timeout: 60_000 }).toContain('sync it in Argo CD');
    return id;
  }
  let first: string;

  test('it waits for Argo CD, and is live when that tells that it runs', async () => {
    first = await world.push({ files: { 'towpath.yaml': config(manifests.directory) } });
    await waits(first);
    await asApplication({ operation: { sync: {} } });
    const prod = await world.live('prod', first);
    expect(prod.history[0]?.headline).toBe(`Live: 1 service seen healthy by Argo CD, application argocd/${NAME}.`);
    expect(prod.services).toMatchObject([{ service: 'web', runs: true, observed: true }]);
    expect(await image()).toBe(`registry.test/shop/web@${await digestOf(first)}`);
  });

  test('cancelled while it waits, what stood there before stands there again, by a commit', async () => {
    const second = await world.push({ says: { web: 'better' } });
    const id = await waits(second);
    expect(await image()).toContain(await digestOf(second));
    await world.useCases.promotions.cancel(id, 'olga');
    await world.reaches(id, 'cancelled');
    await expect.poll(image, { timeout: 60_000 }).toContain(await digestOf(first));
  });

  test('failed, it is rolled back by a commit, which Argo CD has to confirm too', async () => {
    const third = await world.push({ says: { web: 'best' } });
    const id = await waits(third);
    await manifests.commit({ files: { [`${NAME}/web.yaml`]: deployment(NAME) } });
    await asApplication({ metadata: { annotations: { 'argocd.argoproj.io/refresh': 'normal' } } });
    const { headline } = await world.reaches(id, 'rolled-back');
    expect(headline).toContain('somebody else has written other images');
    expect(await image()).toContain(await digestOf(first));
    expect((await world.environment('prod')).current).toMatchObject({ commit: first });
  });
});
