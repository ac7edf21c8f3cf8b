import { gzipSync } from 'node:zlib';

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import { newNamespace, saidMissing } from '../../container/kubernetes/testing/cluster.ts';
import type { Target } from '../driver.ts';
import { type KubernetesUnderTest, kubernetesUnderTest } from '../testing/kubernetes-machine.ts';
import { type Rollouts, rolloutsOf } from '../testing/rollouts.ts';
import { namespaceOf } from './names.ts';
import { sweepSecrets } from './secrets.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

describe.skipIf(saidMissing() !== null)('beside others in a cluster', () => {
  let under: KubernetesUnderTest;
  let run: Rollouts;
  beforeAll(async () => {
    under = await kubernetesUnderTest();
  });
  afterEach(() => run.end());
  afterAll(() => under.dispose());
  const begin = (settings: Record<string, unknown> = {}) => {
    under.settings = settings;
    run = rolloutsOf(under);
    const deployment = `/apis/apps/v1/namespaces/${namespaceOf(run.target, under.installation)}/deployments/web`;
    /** As `kubectl edit` does. */
    const setByHand = (name: string, value: string) =>
      under.kubernetes.apply(
        deployment,
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          spec: { template: { spec: { containers: [{ name: 'web', env: [{ name, value }] }] } } },
        },
        { manager: 'somebody', force: true },
      );
    return { ...run, deployment, setByHand };
  };

  test('what somebody changed by hand is noticed, and the next deployment takes it back and says from whom', async () => {
    const { deploy, again, web, observe, setByHand, logged } = begin();
    const service = await web('v1', { env: { COLOUR: 'red' } });
    await deploy('one', [service]);
    await setByHand('COLOUR', 'green');
    const [replica] = (await observe()).services['web']?.replicas ?? [];
    expect(replica?.operation).toBe('one, Deployment/web was changed by hand');
    const { actions, observed } = await again('one', [service]);
    expect(actions).not.toEqual([]);
    expect(observed.services['web']?.replicas.map(({ operation }) => operation)).toEqual(['one']);
    expect(logged()).toMatch(/take back .*COLOUR.* of Deployment\/web: conflict with "somebody"/);
  });

  test('where conflicts are to be refused, nothing moves until somebody has settled them', async () => {
    const { deploy, web, setByHand, deployment } = begin({ conflicts: 'refuse' });
    const service = await web('v1', { env: { COLOUR: 'red' } });
    await deploy('one', [service]);
    await setByHand('COLOUR', 'green');
    const changed = await under.kubernetes.get(deployment);
    await expect(deploy('two', [service])).rejects.toMatchObject({ code: 'kubernetes.conflict' });
    expect((await under.kubernetes.get(deployment))?.metadata.generation).toBe(changed?.metadata.generation);
  });

  test('one that was scaled by hand, or removed, is not as it was deployed', async () => {
    const { deploy, again, web, deployment, observe } = begin();
    await deploy('one', [await web('v1')]);
    await under.kubernetes.merge(deployment, { spec: { replicas: 0 } });
    await expect.poll(async () => (await observe()).services).toEqual({});
    const { observed } = await again('one', [await web('v1')]);
    expect(observed.services['web']?.replicas).toHaveLength(1);
  });

  test('killed when all runs and it is not yet written down, it is brought to its end; a later failure puts back this one', async () => {
    const { deploy, deployPart, stepsOf, web, observe } = begin();
    await deploy('one', [await web('v1')]);
    const next = [await web('v2')];
    await deployPart('two', next, (await stepsOf('two', next)).length - 1);
    const two = await deploy('two', next);
    const broken = await web('v3', { behaviour: 'crash' });
    await expect(deploy('three', [broken])).rejects.toMatchObject({ code: 'deploy.exited' });
    expect(await observe()).toEqual(two);
  });

  test('a record that somebody has spoilt is told with what to do, and without it all goes on', async () => {
    const { deploy, observe, web, target } = begin();
    await deploy('one', [await web('v1')]);
    const record = `/api/v1/namespaces/${namespaceOf(target, under.installation)}/secrets/towpath-environment`;
    const { data } = (await under.kubernetes.get(record)) as unknown as { data: Record<string, string> };
    const bomb = gzipSync(Buffer.alloc(65 * 1024 * 1024)).toString('base64');
    for (const applied of ['bm8gZ3ppcA==', bomb]) {
      await under.kubernetes.merge(record, { data: { ...data, applied } });
      await expect(observe()).rejects.toMatchObject({ code: 'kubernetes.record' });
      await expect(deploy('two', [await web('v2')])).rejects.toMatchObject({ code: 'kubernetes.record' });
    }
    await under.kubernetes.remove(record);
    expect((await deploy('two', [await web('v2')])).services['web']?.replicas).toHaveLength(1);
  });

  test('a named namespace stays, with what others have there; two environments do not share one', async () => {
    const namespace = await newNamespace(under.kubernetes);
    const { deploy, deployTo, destroy, web, target } = begin({ namespace });
    const neighbour: Target = { ...target, environment: 'neighbour' };
    await deploy('one', [await web('v1')]);
    await expect(deployTo(neighbour, 'one', [await web('v1')])).rejects.toMatchObject({ code: 'kubernetes.not-ours' });
    await destroy();
    expect((await under.kubernetes.get(`/api/v1/namespaces/${namespace}`))?.metadata.deletionTimestamp).toBeUndefined();
    const left = ['pods', 'services', 'secrets'].map((kind) => `/api/v1/namespaces/${namespace}/${kind}`);
    expect((await Promise.all(left.map((path) => under.kubernetes.list(path)))).flat()).toEqual([]);
    await under.kubernetes.remove(`/api/v1/namespaces/${namespace}`);
  });

  test('a namespace that is not there is told, and one that runs elsewhere has to be stopped first', async () => {
    const { deploy, web } = begin({ namespace: 'not-there' });
    await expect(deploy('one', [await web('v1')])).rejects.toMatchObject({ code: 'kubernetes.no-namespace' });
    under.settings = {};
    await deploy('one', [await web('v1')]);
    under.settings = { namespace: 'default' };
    await expect(deploy('two', [await web('v1')])).rejects.toMatchObject({ code: 'kubernetes.other-place' });
  });

  test('a secret that changed has another name, the old one goes; pods of a namespace of ours are kept from the nodes', async () => {
    const { deploy, web, target } = begin();
    const namespace = namespaceOf(target, under.installation);
    const secrets = async () =>
      (
        await under.kubernetes.list(`/api/v1/namespaces/${namespace}/secrets`, { labels: ['towpath.dev/secrets'] })
      )?.map(({ metadata }) => metadata.name);
    await deploy('one', [await web('v1', { secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } })]);
    const first = await secrets();
    await deploy('two', [await web('v1', { secrets: { OTHER: 'env:CANARY_OF_THE_TEST' } })]);
    const second = await secrets();
    expect([first?.length, second?.length]).toEqual([1, 1]);
    expect(second).not.toEqual(first);
    const place = { target, installation: under.installation, namespace, ownsNamespace: true };
    const late = sweepSecrets(under.kubernetes, place, 0n, new Set());
    await expect(late).rejects.toMatchObject({ code: 'deploy.fenced' });
    expect(await secrets()).toEqual(second);
    const spec = { hostPID: true, containers: [{ name: 'a', image: 'a' }] };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec };
    await expect(under.kubernetes.create(`/api/v1/namespaces/${namespace}/pods`, pod)).rejects.toMatchObject({
      code: 'kubernetes.forbidden',
      what: expect.stringContaining('violates PodSecurity') as string,
    });
  });
});
