import { readFile } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { kubernetesMissing } from '../../../../tools/test-machine/kubernetes.js';
import { kubernetesConfig } from '../../../../tools/test-machine/machine.ts';
import type { Kubernetes } from '../../../container/kubernetes/kubernetes.ts';
import { systemClock } from '../../../lib/clock.ts';
import { sha256 } from '../../../lib/digest.ts';
import { untilTrue } from '../../../lib/until.ts';
import { clusterWatch } from './cluster-watch.ts';
import { createClusters } from '../../../container/kubernetes/clusters.ts';
import { fluxWatch } from './flux.ts';
import { sees, verdictOf } from './sight.ts';

const missing = kubernetesMissing();
if (missing !== null) process.stderr.write(`${missing}\n`);

const COMMIT = 'a'.repeat(40);
const IMAGE = `registry.test/shop/web@${sha256('v1')}`;

/**
 * The API server, its controllers and the rollouts are real. Flux is not: its objects bear the statuses that its controllers write,
 * as their API describes them.
 */
describe.skipIf(missing !== null)('what Flux and workloads tell', () => {
  let cluster: Kubernetes;
  let namespaces = 0;
  const { signal } = new AbortController();
  const clusters = createClusters({
    environment: {},
    clock: systemClock,
    secretOf: async () => readFile(await kubernetesConfig(), 'utf8'),
  });

  beforeAll(async () => {
    cluster = await clusters.of({ kubeconfig: 'env:KUBECONFIG' });
    for (const [api, kind, plural] of KINDS) await cluster.create(CRDS, definition(api, kind, plural));
    for (const [api, , plural] of KINDS)
      await until(async () => (await cluster.list(`/apis/${api}/namespaces/default/${plural}`)) !== null);
  }, 300_000);
  afterAll(() => clusters.close());

  const until = (ask: () => Promise<boolean>) => untilTrue(ask, { everyMs: 50, timeoutMs: 30_000, signal });

  /** A namespace with a source and a kustomization of it, perhaps a release, and a deployment that bears their labels. */
  async function place(spec: object, { helmRelease }: { readonly helmRelease?: string } = {}) {
    const namespace = `flux-${++namespaces}`;
    const within = (api: string, plural: string) => `/apis/${api}/namespaces/${namespace}/${plural}`;
    const [source, kustomization, release] = KINDS.map(([api, , plural]) => within(api, plural)) as [
      string,
      string,
      string,
    ];
    await cluster.create('/api/v1/namespaces', { metadata: { name: namespace } });
    await cluster.create(source, object(KINDS[0], 'shop', { url: 'https://git.example/m.git' }));
    await cluster.create(
      kustomization,
      object(KINDS[1], 'shop', { prune: true, sourceRef: { kind: 'GitRepository', name: 'shop' }, ...spec }),
    );
    if (helmRelease !== undefined)
      await cluster.create(
        release,
        object(KINDS[2], helmRelease, { chartRef: { kind: 'OCIRepository', name: 'web' } }),
      );
    const owner = helmRelease === undefined ? 'kustomize' : 'helm';
    await cluster.create(
      within('apps/v1', 'deployments'),
      deployment({
        [`${owner}.toolkit.fluxcd.io/name`]: helmRelease ?? 'shop',
        [`${owner}.toolkit.fluxcd.io/namespace`]: namespace,
      }),
    );
    const watch = fluxWatch({ kustomization: 'shop', namespace, helmRelease }, cluster);
    const says = async (path: string, name: string, status: object) => {
      const there = await cluster.get(`${path}/${name}`);
      const observedGeneration = there?.metadata.generation;
      await cluster.merge(`${path}/${name}/status`, { status: { observedGeneration, ...status } });
    };
    return {
      namespace,
      watch,
      paths: { source, kustomization, release },
      kustomizationSays: (status: object) => says(kustomization, 'shop', status),
      releaseSays: (status: object) => says(release, helmRelease ?? '', status),
      sourceSays: (status: object) => says(source, 'shop', status),
      rolledOut: () => until(async () => (await watch.look(signal)).state === 'good'),
    };
  }

  test('a kustomization that looks at health is good at the commit that it applied, with the images of its workloads', async () => {
    const { watch, kustomizationSays, rolledOut } = await place({ wait: true });
    await watch.check(signal);
    expect(await watch.look(signal)).toMatchObject({ state: 'coming', says: 'the kustomization is not looked at yet' });
    await kustomizationSays({
      lastAppliedRevision: `main@sha1:${COMMIT}`,
      ...ready('True', 'ReconciliationSucceeded'),
    });
    expect(await rolledOut()).toBe(true);
    const sight = await watch.look(signal);
    expect(sight).toEqual({ looked: true, state: 'good', revisions: [COMMIT], says: '1 rolled out', images: [IMAGE] });
    expect(verdictOf(sight, ['holds'], [sha256('v1')])).toEqual({ kind: 'good' });
    expect(sees(sight, sha256('v2'))).toBe(false);
  });

  test('asked, its source is asked first, and both are told apart from any request before', async () => {
    const { watch, paths } = await place({ wait: true });
    const requested = async () =>
      Promise.all(
        [paths.source, paths.kustomization].map(
          async (path) =>
            (await cluster.get(`${path}/shop`))?.metadata.annotations?.['reconcile.fluxcd.io/requestedAt'],
        ),
      );
    await watch.ask(signal);
    const [first, same] = await requested();
    expect(first).toMatch(/./);
    expect(same).toBe(first);
    await watch.ask(signal);
    expect((await requested())[0]).not.toBe(first);
  });

  test('what failed is bad at the commit that was tried; what waits, is suspended or of another generation is coming', async () => {
    const { watch, kustomizationSays, sourceSays, paths } = await place({ wait: true });
    const tried = { lastAppliedRevision: `main@sha1:${'b'.repeat(40)}`, lastAttemptedRevision: `main@sha1:${COMMIT}` };
    await kustomizationSays({
      ...tried,
      ...ready('False', 'HealthCheckFailed', 'timeout waiting for: [Deployment/web status: InProgress]'),
    });
    expect(await watch.look(signal)).toMatchObject({
      state: 'bad',
      revisions: [COMMIT],
      says: 'the kustomization: HealthCheckFailed: timeout waiting for: [Deployment/web status: InProgress]',
    });
    for (const [status, reason] of [
      ['Unknown', 'Progressing'],
      ['False', 'DependencyNotReady'],
    ] as const) {
      await kustomizationSays({ ...tried, ...ready(status, reason) });
      expect(await watch.look(signal)).toMatchObject({ state: 'coming' });
    }
    await sourceSays(ready('False', 'GitOperationFailed', 'authentication required'));
    expect((await watch.look(signal)).says).toContain('its source: GitOperationFailed: authentication required');
    await kustomizationSays({ ...tried, ...ready('False', 'BuildFailed') });
    await cluster.merge(`${paths.kustomization}/shop`, { spec: { suspend: true } });
    expect(await watch.look(signal)).toMatchObject({
      state: 'coming',
      says: expect.stringContaining('suspended') as string,
    });
    await cluster.merge(`${paths.kustomization}/shop`, { spec: { suspend: false } });
    expect(await watch.look(signal)).toMatchObject({
      state: 'coming',
      says: expect.stringContaining('not looked at') as string,
    });
  });

  test('a release tells of itself, once the kustomization has applied it', async () => {
    const { watch, kustomizationSays, releaseSays, rolledOut } = await place({}, { helmRelease: 'web' });
    await watch.check(signal);
    await kustomizationSays({
      lastAppliedRevision: `main@sha1:${COMMIT}`,
      ...ready('True', 'ReconciliationSucceeded'),
    });
    expect(await watch.look(signal)).toMatchObject({ state: 'coming', says: 'the release is not looked at yet' });
    await releaseSays(ready('False', 'UpgradeFailed', 'Helm upgrade failed'));
    expect(await watch.look(signal)).toMatchObject({
      state: 'bad',
      says: 'the release: UpgradeFailed: Helm upgrade failed',
    });
    await releaseSays(ready('True', 'UpgradeSucceeded'));
    expect(await rolledOut()).toBe(true);
    expect(await watch.look(signal)).toMatchObject({ revisions: [COMMIT], images: [IMAGE] });
  });

  test('one that does not look at health, or is not there, is told before anything is written', async () => {
    const { watch, namespace } = await place({});
    await expect(watch.check(signal)).rejects.toMatchObject({ code: 'gitops.watch-blind' });
    const nowhere = fluxWatch({ kustomization: 'nowhere', namespace }, cluster);
    await expect(nowhere.check(signal)).rejects.toMatchObject({ code: 'gitops.watch-missing' });
  });

  test('workloads alone are good when the newest template is what all pods run, and bad after their deadline', async () => {
    const { namespace } = await place({});
    const labels = [`kustomize.toolkit.fluxcd.io/namespace=${namespace}`];
    const watch = clusterWatch({ namespace, labels }, cluster);
    await watch.check(signal);
    expect(await until(async () => (await watch.look(signal)).state === 'good')).toBe(true);
    expect(await watch.look(signal)).toMatchObject({ looked: true, revisions: null, images: [IMAGE] });
    const sick = { name: 'web', image: `registry.test/sick/web@${sha256('v2')}` };
    await cluster.merge(`/apis/apps/v1/namespaces/${namespace}/deployments/web`, {
      spec: { template: { spec: { containers: [sick] } } },
    });
    expect(await watch.look(signal)).toMatchObject({ state: 'coming' });
    await cluster.merge(`/apis/apps/v1/namespaces/${namespace}/deployments/web`, {
      spec: { progressDeadlineSeconds: 2 },
    });
    expect(await until(async () => (await watch.look(signal)).state === 'bad')).toBe(true);
    const none = clusterWatch({ namespace, labels: ['app=nothing'] }, cluster);
    expect(await none.look(signal)).toMatchObject({
      state: 'coming',
      says: expect.stringContaining('no workload') as string,
    });
  });
});

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const KINDS = [
  ['source.toolkit.fluxcd.io/v1', 'GitRepository', 'gitrepositories'],
  ['kustomize.toolkit.fluxcd.io/v1', 'Kustomization', 'kustomizations'],
  ['helm.toolkit.fluxcd.io/v2', 'HelmRelease', 'helmreleases'],
] as const;

function definition(api: string, kind: string, plural: string): object {
  const [group = '', name = ''] = api.split('/');
  const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase() },
      versions: [
        {
          name,
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: 'object', properties: { spec: anything, status: anything } } },
        },
      ],
    },
  };
}

function object([apiVersion, kind]: (typeof KINDS)[number], name: string, spec: object): object {
  return { apiVersion, kind, metadata: { name }, spec: { interval: '5m', ...spec } };
}

function ready(status: string, reason: string, message = 'it says so'): object {
  return { conditions: [{ type: 'Ready', status, reason, message, lastTransitionTime: '2026-11-30T12:00:00Z' }] };
}

function deployment(labels: Readonly<Record<string, string>>): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', labels },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: IMAGE }] } },
    },
  };
}
