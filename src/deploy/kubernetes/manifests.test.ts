import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import { findGoProgram } from '../../../tools/go-programs.js';
import { saidMissing } from '../../container/kubernetes/testing/cluster.ts';
import { type KubernetesUnderTest, kubernetesUnderTest } from '../testing/kubernetes-machine.ts';
import { type Rollouts, rolloutsOf } from '../testing/rollouts.ts';
import { namespaceOf } from './names.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const helm = findGoProgram('helm');
if (helm.missing !== undefined) process.stderr.write(`${helm.missing}\n`);

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: front }
spec:
  replicas: 2
  selector: { matchLabels: { app: front } }
  template:
    metadata: { labels: { app: front } }
    spec:
      containers:
        - { name: front, image: "shop/web:latest", env: [{ name: COLOUR, value: red }, { name: KEPT, value: "yes" }] }
        - { name: beside, image: "envoy:1" }
`;
const mapOf = (name: string, value: string) => `
apiVersion: v1
kind: ConfigMap
metadata: { name: ${name} }
data: { value: "${value}" }
`;
const jobOf = (image: string, when = 'before') => `
apiVersion: batch/v1
kind: Job
metadata: { name: migrate, annotations: { towpath.dev/when: ${when} } }
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{ name: migrate, image: "${image}" }]
`;

const CLAIM = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
`;

describe.skipIf(saidMissing() !== null)('manifests of the repository', () => {
  let under: KubernetesUnderTest;
  let run: Rollouts;
  beforeAll(async () => {
    under = await kubernetesUnderTest();
  });
  afterEach(() => run.end());
  afterAll(() => under.dispose());
  const begin = (files: Record<string, string>, settings: Record<string, unknown> = { manifests: 'deploy' }) => {
    under.files = files;
    under.settings = settings;
    run = rolloutsOf(under);
    const namespace = namespaceOf(run.target, under.installation);
    const at = (path: string) => under.kubernetes.get(path.replace('NS', namespace));
    return { ...run, at, maps: `/api/v1/namespaces/${namespace}/configmaps` };
  };
  const DEPLOYMENT = '/apis/apps/v1/namespaces/NS/deployments/front';

  test('images of the release come in by digest with the settings of the environment, others stay and are told', async () => {
    const { deploy, web, at, logged } = begin({ 'deploy/web.yaml': WEB, 'deploy/README.md': 'no YAML' });
    const service = await web('v1', { env: { COLOUR: '$(blue)' }, secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } });
    const { services } = await deploy('one', [service]);
    expect(services['web']?.replicas).toHaveLength(2);
    expect(await at(DEPLOYMENT)).toMatchObject({
      spec: {
        replicas: 2,
        template: {
          spec: {
            containers: [
              {
                image: `${service.image}@${service.digest}`,
                env: [
                  { name: 'KEPT', value: 'yes' },
                  { name: 'COLOUR', value: '$$(blue)' },
                  { name: 'TOWPATH_SECRETS', value: '/run/secrets' },
                ],
                volumeMounts: [{ mountPath: '/run/secrets', readOnly: true }],
              },
              { image: 'envoy:1' },
            ],
          },
        },
      },
    });
    expect(logged()).toContain('(envoy:1) has no digest');
  });

  test('what left the manifests is removed, but no data; what others made is not touched', async () => {
    const { deploy, web, at, maps, logged } = begin({ 'deploy/a.yaml': `${WEB}---${mapOf('mine', '1')}---${CLAIM}` });
    await deploy('one', [await web('v1')]);
    const theirs = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'theirs' }, data: { value: 'theirs' } };
    await under.kubernetes.create(maps, theirs);
    under.files = { 'deploy/a.yaml': WEB };
    await deploy('two', [await web('v1')]);
    expect(await at(`${maps}/mine`)).toBeNull();
    expect(await at('/api/v1/namespaces/NS/persistentvolumeclaims/data')).not.toBeNull();
    expect(logged()).toContain('PersistentVolumeClaim/data is no part of it any more and stays');
    expect(await at(`${maps}/theirs`)).toMatchObject({ data: { value: 'theirs' } });
    await expect(deploy('sick', [await web('v2', { behaviour: 'crash' })])).rejects.toMatchObject({
      code: 'deploy.exited',
    });
    expect(await at('/api/v1/namespaces/NS/persistentvolumeclaims/data')).not.toBeNull();
    under.files = { 'deploy/a.yaml': `${WEB}---${mapOf('theirs', 'ours')}` };
    await expect(deploy('three', [await web('v2')])).rejects.toMatchObject({ code: 'kubernetes.not-ours' });
    expect(await at(`${maps}/theirs`)).toMatchObject({ data: { value: 'theirs' } });
  });

  test('a rollout that fails puts back all that it changed, and removes what it brought', async () => {
    const { deploy, web, at, maps, observe } = begin({ 'deploy/a.yaml': `${WEB}---${mapOf('setting', 'old')}` });
    await deploy('one', [await web('v1')]);
    const before = await observe();
    under.files = { 'deploy/a.yaml': `${WEB}---${mapOf('setting', 'new')}---${mapOf('extra', 'new')}` };
    const crash = await web('v2', { behaviour: 'crash' });
    await expect(deploy('two', [crash])).rejects.toMatchObject({ code: 'deploy.exited' });
    expect(await observe()).toEqual(before);
    expect(await at(`${maps}/setting`)).toMatchObject({ data: { value: 'old' } });
    expect(await at(`${maps}/extra`)).toBeNull();
  });

  test.each([
    ['a kind of the whole cluster', '{ apiVersion: v1, kind: Namespace, metadata: { name: another } }', 'outside'],
    [
      'another namespace',
      '{ apiVersion: v1, kind: ConfigMap, metadata: { name: a, namespace: kube-system } }',
      'outside',
    ],
    [
      'a pod that nothing replaces',
      '{ apiVersion: v1, kind: Pod, metadata: { name: a }, spec: { containers: [] } }',
      'outside',
    ],
    ['a Job that does not say when', jobOf('shop/web', 'whenever'), 'job'],
    ['what is no object', '{ apiVersion: v1, kind: ConfigMap }', 'not-manifest'],
    ['two keys of one name', 'a: 1\na: 2', 'not-manifest'],
  ])('%s is refused before anything moves', async (_what, manifest, code) => {
    const { deploy, web, observe } = begin({ 'deploy/a.yaml': `${WEB}---\n${manifest}` });
    await expect(deploy('one', [await web('v1')])).rejects.toMatchObject({ code: `kubernetes.${code}` });
    expect(await observe()).toEqual({ services: {} });
  });

  test('what the cluster does not take stops a rollout before anything moves', async () => {
    const { deploy, web, observe, at, maps } = begin({ 'deploy/a.yaml': `${mapOf('first', '1')}---${WEB}` });
    await deploy('one', [await web('v1')]);
    const before = await observe();
    under.files = { 'deploy/a.yaml': `${mapOf('first', '2')}---${WEB.replace('replicas: 2', 'replicas: -2')}` };
    await expect(deploy('two', [await web('v2')])).rejects.toMatchObject({ code: 'kubernetes.invalid' });
    expect(await observe()).toEqual(before);
    expect(await at(`${maps}/first`)).toMatchObject({ data: { value: '1' } });
  });

  test('a service that no image is of is told with the images that there are, and one that has two names is asked for', async () => {
    const { deploy, web, worker } = begin({ 'deploy/a.yaml': WEB.replace('shop/web', 'shop/frontend') });
    await expect(deploy('one', [await web('v1')])).rejects.toMatchObject({
      code: 'kubernetes.unmapped',
      what: expect.stringContaining('shop/frontend:latest, envoy:1') as string,
    });
    under.settings = { manifests: 'deploy', images: { web: 'shop/frontend' } };
    await deploy('one', [await web('v1')]);
    under.settings = { manifests: 'deploy', images: { web: 'shop/frontend', worker: 'shop/frontend' } };
    await expect(deploy('two', [await web('v1'), await worker('v1')])).rejects.toMatchObject({
      code: 'kubernetes.ambiguous',
    });
    under.settings = { manifests: 'deploy', images: { web: 'shop/frontend' }, unpinned: 'refuse' };
    await expect(deploy('two', [await web('v1')])).rejects.toMatchObject({ code: 'kubernetes.unpinned' });
  });

  test('a Job that comes before runs once, with the image of the release; where it fails nothing else moves', async () => {
    const { deploy, web, again, observe, logged } = begin({
      'deploy/a.yaml': `${WEB}---${mapOf('for-it', '1').replace('for-it', 'for-it, annotations: { towpath.dev/when: before }')}---${jobOf('shop/web')}`,
    });
    await deploy('one', [await web('v1')]);
    expect(logged()).toMatch(/Job\/migrate-[0-9a-f]{16} is complete/);
    const before = await observe();
    expect((await again('one', [await web('v1')])).actions).toEqual([]);
    under.files = { 'deploy/a.yaml': `${jobOf('registry.test/crash/web')}---${WEB}` };
    await expect(deploy('two', [await web('v2', { behaviour: 'crash' })])).rejects.toMatchObject({
      code: 'kubernetes.job-failed',
      what: expect.stringContaining('exit code 3') as string,
    });
    expect(await observe()).toEqual(before);
  });

  test('an overlay is read by kustomize, with its base, and takes in nothing from elsewhere', async () => {
    const overlay = (more = '') =>
      `resources: [../../base]\nreplicas: [{ name: front, count: 3 }]\ncommonAnnotations: { docs: "https://docs.example" }\n${more}`;
    const files = {
      'k8s/base/web.yaml': WEB,
      'k8s/base/kustomization.yaml': 'resources: [web.yaml]\n',
      'k8s/overlays/prod/kustomization.yaml': overlay(),
    };
    const { deploy, web } = begin(files, { kustomize: 'k8s/overlays/prod' });
    expect((await deploy('one', [await web('v1')])).services['web']?.replicas).toHaveLength(3);
    for (const more of [
      'components: ["https://github.com/evil/repository"]',
      'components: [git::ssh://evil.example/repository]',
      'components: [/etc]',
      'Components: [../../../elsewhere]',
      '<<: { components: [../../../elsewhere] }',
      'patches: [{ path: "http://127.0.0.1:1/patch.yaml" }]',
      'generators: [generator.yaml]',
      'helmCharts: [{ name: chart }]',
    ]) {
      under.files = { ...files, 'k8s/overlays/prod/kustomization.yaml': overlay(more) };
      await expect(deploy('two', [await web('v1')])).rejects.toMatchObject({ code: 'kubernetes.outside' });
    }
    under.files = {
      ...files,
      'k8s/overlays/prod/kustomization.yaml': overlay('configMapGenerator: [{ name: a, files: [/etc/passwd] }]'),
    };
    await expect(deploy('two', [await web('v1')])).rejects.toMatchObject({ code: 'kubernetes.render' });
  });

  test.skipIf(helm.path === undefined)('a chart is read by Helm, with values of the repository', async () => {
    const files = {
      'chart/Chart.yaml': 'apiVersion: v2\nname: shop\nversion: 0.1.0\n',
      'chart/templates/web.yaml': WEB.replace('replicas: 2', 'replicas: {{ .Values.count }}'),
      'prod.yaml': 'count: 3\n',
    };
    const { deploy, web } = begin(files, { helm: { chart: 'chart', values: ['prod.yaml'] } });
    expect((await deploy('one', [await web('v1')])).services['web']?.replicas).toHaveLength(3);
    under.files = { ...files, 'chart/templates/web.yaml': '{{ fail "no" }}' };
    await expect(deploy('two', [await web('v1')])).rejects.toMatchObject({ code: 'kubernetes.render' });
  });
});
