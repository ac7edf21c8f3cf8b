import { readFile } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { argocdMissing } from '../../../../tools/test-machine/argocd.js';
import { kubernetesMissing } from '../../../../tools/test-machine/kubernetes.js';
import { argocdConfig } from '../../../../tools/test-machine/machine.ts';
import type { Kubernetes } from '../../../container/kubernetes/kubernetes.ts';
import { sha256 } from '../../../lib/digest.ts';
import { systemClock } from '../../../lib/clock.ts';
import { untilTrue } from '../../../lib/until.ts';
import type { Desired, Target } from '../../driver.ts';
import { judge } from '../../judge.ts';
import { gitopsUnderTest } from '../../testing/manifest-machine.ts';
import { GitopsConfig } from '../config.ts';
import { application, APPLICATIONS, deployment } from '../testing/application.ts';
import { createClusters } from '../../../container/kubernetes/clusters.ts';

const missing = kubernetesMissing() ?? argocdMissing();
if (missing !== null) process.stderr.write(`${missing}\n`);

/** The repository, the server, the API server, Argo CD's own repo-server and application-controller are real; kubelets are not. */
describe.skipIf(missing !== null)('what Argo CD tells', () => {
  let under: Awaited<ReturnType<typeof gitopsUnderTest>>;
  let cluster: Kubernetes;
  let secrets: Record<string, string> = {};
  const clusters = createClusters({
    environment: {},
    clock: systemClock,
    secretOf: (reference) => Promise.resolve(secrets[reference] ?? ''),
  });

  beforeAll(async () => {
    secrets = { 'env:KUBECONFIG': await readFile(await argocdConfig(), 'utf8') };
    cluster = await clusters.of({ kubeconfig: 'env:KUBECONFIG' });
    under = await gitopsUnderTest(clusters.of);
  }, 300_000);
  afterAll(async () => {
    await under?.dispose();
    await clusters.close();
  });

  /** An environment of its own: a folder of manifests, a namespace, and an application that brings the one into the other. */
  async function environment(name: string, { automated = true }: { readonly automated?: boolean } = {}) {
    await under.repository.commit({ files: { [`${name}/web.yaml`]: deployment(name) } });
    await cluster.create('/api/v1/namespaces', { metadata: { name } });
    await cluster.create(APPLICATIONS, application(name, under.repository.url, automated));
    const target: Target = { project: 'shop', environment: name, slug: name };
    const driver = under.restart();
    let token = 0n;
    const desiredOf = (
      version: string,
      image = 'registry.test/shop/web',
      more: object = {},
    ): Desired<GitopsConfig> => ({
      target,
      operation: `promotion-${version}`,
      config: GitopsConfig.parse({
        repository: under.repository.url,
        folder: name,
        success: { argocd: { application: name, kubeconfig: 'env:KUBECONFIG', ...more } },
        services: { web: { file: 'web.yaml', name: image, image: 'spec.template.spec.containers[name=web].image' } },
      }),
      services: [{ service: 'web', image, digest: sha256(version), env: {}, secrets: {}, replicas: 2, limits: {} }],
    });
    const lines: string[] = [];
    const deploy = async (
      desired: Desired<GitopsConfig>,
      {
        onLine = () => undefined,
        signal = AbortSignal.timeout(170_000),
      }: { readonly onLine?: (line: string) => unknown; readonly signal?: AbortSignal } = {},
    ): Promise<void> => {
      lines.length = 0;
      const waits: unknown[] = [];
      await driver.apply(desired, driver.plan(desired, await driver.observe(target)), {
        log: (line) => {
          lines.push(line);
          waits.push(onLine(line));
        },
        signal,
        token: ++token,
      });
      await Promise.all(waits);
    };
    const read = async () => (await cluster.get(`${APPLICATIONS}/${name}`)) as unknown as ApplicationStatus;
    return { name, target, driver, desiredOf, deploy, lines, read, observe: () => driver.observe(target) };
  }

  const head = () => under.repository.git('rev-parse', 'main');

  test('it is done when the application is Synced and Healthy at our commit and shows the digest', async () => {
    const { name, desiredOf, deploy, lines, observe, driver, read } = await environment('healthy');
    const desired = desiredOf('v1');
    await deploy(desired);
    expect(lines.at(-1)).toBe(`Argo CD, application argocd/${name}: it runs there`);
    const { status } = await read();
    expect(status).toMatchObject({ sync: { status: 'Synced', revision: await head() }, health: { status: 'Healthy' } });
    expect(status.summary.images).toContain(`registry.test/shop/web@${sha256('v1')}`);
    const observed = await observe();
    expect(observed.services['web']?.told).toMatchObject({ isGood: true });
    expect(judge(desired, observed)).toEqual({ kind: 'good' });
    expect(driver.plan(desired, observed)).toEqual([]);
  });

  test('a commit of others on top, before Argo CD looks, is as good while it holds the digest', async () => {
    const { name, desiredOf, deploy, read } = await environment('on-top');
    let written = '';
    await deploy(desiredOf('v1'), {
      onLine: async (line) => {
        if (!line.startsWith('it stands')) return;
        written = await head();
        await under.repository.commit({ files: { 'elsewhere/README.md': `above ${name}\n` } });
      },
    });
    expect((await read()).status.sync.revision).toBe(await head());
    expect(await head()).not.toBe(written);
  });

  test('an image that never becomes ready fails it in the words of Argo CD, and the next one is not held back by that', async () => {
    const { name, desiredOf, deploy, observe } = await environment('sick');
    await deploy(desiredOf('v1'));
    await under.repository.commit({ files: { [`${name}/web.yaml`]: deployment(name, 2) } });
    await expect(deploy(desiredOf('v2', 'registry.test/shop/sick/web'))).rejects.toMatchObject({
      code: 'gitops.unhealthy',
      what: expect.stringContaining(
        `argocd/${name} tells that what was written does not run: Synced and Degraded`,
      ) as string,
    });
    expect((await observe()).services['web']?.told).toMatchObject({ isGood: false, says: 'Synced and Degraded' });
    await deploy(desiredOf('v1'));
  });

  test('what the cluster does not take, and what cannot be rendered, fails it with the reason', async () => {
    const { name, desiredOf, deploy } = await environment('refused2');
    await deploy(desiredOf('v1'));
    const other = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: Not_A_Name }\n';
    await under.repository.commit({ files: { [`${name}/other.yaml`]: other } });
    await expect(deploy(desiredOf('v2'))).rejects.toMatchObject({
      code: 'gitops.unhealthy',
      what: expect.stringMatching(/Not_A_Name/) as string,
    });
    await under.repository.commit({
      files: { [`${name}/other.yaml`]: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {\n' },
    });
    await expect(deploy(desiredOf('v3'))).rejects.toMatchObject({
      code: 'gitops.unhealthy',
      what: expect.stringContaining('ComparisonError') as string,
    });
    await under.repository.commit({ files: { [`${name}/other.yaml`]: null } });
    await deploy(desiredOf('v4'));
  });

  test('another image over ours fails it, whoever wrote that', async () => {
    const { name, desiredOf, deploy } = await environment('overwritten');
    const onLine = (line: string) =>
      line.startsWith('it stands') &&
      under.repository.commit({ files: { [`${name}/web.yaml`]: deployment(name).replace(':v0', ':hotfix') } });
    await expect(deploy(desiredOf('v1'), { onLine })).rejects.toMatchObject({ code: 'gitops.overwritten' });
  });

  test('an application that is not there, or that we may not ask, is told before anything is written', async () => {
    const { name, desiredOf, deploy } = await environment('refusals');
    const before = await head();
    await expect(deploy(desiredOf('v1', undefined, { application: 'nowhere' }))).rejects.toMatchObject({
      code: 'gitops.watch-missing',
      what: expect.stringContaining('Application argocd/nowhere') as string,
    });
    secrets['env:READER'] = await kubeconfigOfNobody(cluster, name, secrets['env:KUBECONFIG'] ?? '');
    await expect(deploy(desiredOf('v1', undefined, { kubeconfig: 'env:READER' }))).rejects.toMatchObject({
      code: 'kubernetes.forbidden',
      what: expect.stringContaining('applications') as string,
    });
    expect(await head()).toBe(before);
  });

  test('it says what it waits for, and is called off at once', async () => {
    const { name, desiredOf, deploy, lines } = await environment('by-hand', { automated: false });
    const off = new AbortController();
    const onLine = (line: string) => line.includes('is not synced by itself') && off.abort(new Error('called off'));
    await expect(deploy(desiredOf('v1'), { onLine, signal: off.signal })).rejects.toThrow();
    expect(off.signal.aborted).toBe(true);
    expect(lines.at(-1)).toBe(
      `Argo CD, application argocd/${name} OutOfSync and Missing, and it is not synced by itself: sync it in Argo CD`,
    );
  });

  test('what is changed in the cluster by hand is noticed', async () => {
    const { name, desiredOf, deploy, observe } = await environment('drift');
    const desired = desiredOf('v1');
    await deploy(desired);
    await cluster.merge(`/apis/apps/v1/namespaces/${name}/deployments/web`, { spec: { replicas: 1 } });
    const notices = async () => judge(desired, await observe()).kind === 'wrong';
    expect(await untilTrue(notices, { everyMs: 200, timeoutMs: 30_000, signal: AbortSignal.timeout(30_000) })).toBe(
      true,
    );
    expect(judge(desired, await observe())).toMatchObject({ what: expect.stringContaining('OutOfSync') as string });
  });
});

/** Somebody whom the cluster knows, and who may do nothing. */
async function kubeconfigOfNobody(cluster: Kubernetes, namespace: string, ours: string): Promise<string> {
  await cluster.create(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: 'nobody' } });
  const annotations = { 'kubernetes.io/service-account.name': 'nobody' };
  await cluster.create(`/api/v1/namespaces/${namespace}/secrets`, {
    metadata: { name: 'nobody', annotations },
    type: 'kubernetes.io/service-account-token',
  });
  let token = '';
  const isThere = async (): Promise<boolean> => {
    const secret = await cluster.get(`/api/v1/namespaces/${namespace}/secrets/nobody`);
    const { data } = secret as unknown as { readonly data?: { readonly token?: string } };
    token = Buffer.from(data?.token ?? '', 'base64').toString();
    return token !== '';
  };
  await untilTrue(isThere, { everyMs: 50, timeoutMs: 20_000, signal: AbortSignal.timeout(20_000) });
  const config = JSON.parse(ours) as object;
  return JSON.stringify({ ...config, users: [{ name: 'test', user: { token } }] });
}

interface ApplicationStatus {
  readonly status: {
    readonly sync: { readonly status: string; readonly revision: string };
    readonly health: { readonly status: string };
    readonly summary: { readonly images: readonly string[] };
  };
}
