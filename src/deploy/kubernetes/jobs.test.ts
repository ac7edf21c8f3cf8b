import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import { saidMissing } from '../../container/kubernetes/testing/cluster.ts';
import { type KubernetesUnderTest, kubernetesUnderTest } from '../testing/kubernetes-machine.ts';
import { type Rollouts, rolloutsOf } from '../testing/rollouts.ts';
import { jobName } from './job-manifest.ts';
import { namespaceOf } from './names.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: front }
spec:
  selector: { matchLabels: { app: front } }
  template:
    metadata: { labels: { app: front } }
    spec:
      serviceAccountName: default
      imagePullSecrets: [{ name: of-the-registry }]
      initContainers: [{ name: proxy, image: "proxy:1", restartPolicy: Always }]
      containers:
        - name: front
          image: shop/web
          args: [serve]
          ports: [{ containerPort: 3000 }]
          readinessProbe: { httpGet: { path: /healthz, port: 3000 } }
          env: [{ name: KEPT, value: "yes" }]
        - { name: beside, image: "envoy:1" }
`;

describe.skipIf(saidMissing() !== null)('programs of a release in a cluster', () => {
  let under: KubernetesUnderTest;
  let run: Rollouts;
  beforeAll(async () => {
    under = await kubernetesUnderTest();
  });
  afterEach(() => run.end());
  afterAll(() => under.dispose());
  const begin = (files: Record<string, string> = {}, settings: Record<string, unknown> = {}) => {
    under.files = files;
    under.settings = settings;
    run = rolloutsOf(under);
    const jobs = `/apis/batch/v1/namespaces/${namespaceOf(run.target, under.installation)}/jobs`;
    return { ...run, jobOf: (operation: string) => under.kubernetes.get(`${jobs}/${jobName({ operation }, 'web')}`) };
  };
  const endless = ['node', '-e', 'setInterval(() => undefined, 1000)'];
  /** As a server that is killed just before it starts what is known of by now. */
  const held = () => {
    let release = (): void => undefined;
    let isBegun = false;
    const begin = (): Promise<void> =>
      new Promise((resolve) => {
        isBegun = true;
        release = resolve;
      });
    return { begin, isBegun: () => isBegun, release: () => release() };
  };

  test('one runs in the pod of its service, without what is for a program that stays, and no request is sent to it', async () => {
    const { job, web, jobOf, forgetJob } = begin({ 'deploy/web.yaml': WEB }, { manifests: 'deploy' });
    const service = await web('v1', { env: { COLOUR: '$(blue)' }, secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } });
    await job('one', [service], { argv: ['sh', '-c', 'echo $$(date)'], timeoutMs: 60_000 });
    const there = await jobOf('one');
    expect(there).toMatchObject({
      spec: {
        backoffLimit: 0,
        activeDeadlineSeconds: 70,
        template: {
          spec: {
            restartPolicy: 'Never',
            serviceAccountName: 'default',
            imagePullSecrets: [{ name: 'of-the-registry' }],
            initContainers: [{ name: 'proxy' }],
            containers: [
              {
                image: `${service.image}@${service.digest}`,
                command: ['sh', '-c', 'echo $$$$(date)'],
                env: [
                  { name: 'KEPT', value: 'yes' },
                  { name: 'COLOUR', value: '$$(blue)' },
                  { name: 'TOWPATH_SECRETS', value: '/run/secrets' },
                ],
                volumeMounts: [{ mountPath: '/run/secrets', readOnly: true }],
              },
            ],
          },
        },
      },
    });
    const template = JSON.stringify(there?.['spec']);
    for (const gone of ['"app":"front"', 'readinessProbe', 'containerPort', '"args"', 'envoy'])
      expect(template).not.toContain(gone);
    await forgetJob('one', [service]);
    expect(await jobOf('one')).toBeNull();
  });

  test('what it said last is told where it failed', async () => {
    const { job, web, logged } = begin();
    const services = [await web('v1', { behaviour: 'crash' })];
    expect((await job('one', services, { argv: ['node', 'migrate.js'] })).end).toEqual({ kind: 'exited', code: 3 });
    expect(logged()).toContain('cannot go on');
  });

  test('one that was known of and not started is started by whoever comes next, and a late hand starts nothing', async () => {
    const { job, web, jobOf } = begin();
    const services = [await web('v1')];
    const killed = held();
    const late = job('one', services, { argv: endless, begin: killed.begin });
    late.catch(() => undefined);
    await expect.poll(killed.isBegun, { timeout: 30_000 }).toBe(true);
    expect(await jobOf('one')).toMatchObject({ spec: { suspend: true } });
    const argv = ['node', '-e', 'process.exit(0)'];
    expect((await job('one', services, { argv, begun: true })).end).toEqual({ kind: 'exited', code: 0 });
    killed.release();
    await expect(late).rejects.toMatchObject({ code: 'deploy.fenced' });
    expect(await jobOf('one')).toMatchObject({ status: { succeeded: 1 } });
  });

  test('what a server left at work that was killed is ended before the next deployment moves anything', async () => {
    const { job, web, deploy, jobOf } = begin();
    const left = held();
    const working = job('one', [await web('v1')], { argv: endless, begin: left.begin });
    await expect.poll(left.isBegun, { timeout: 30_000 }).toBe(true);
    left.release();
    await expect.poll(async () => (await jobOf('one'))?.['status'], { timeout: 30_000 }).toMatchObject({ active: 1 });
    await deploy('two', [await web('v2')]);
    expect((await working).end).toEqual({ kind: 'lost' });
  });
});
