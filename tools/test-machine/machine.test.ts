import { request } from 'node:http';

import pg from 'pg';
import { expect, test } from 'vitest';

import { clusterAccess, connect, newNamespace, saidMissing } from '../../src/container/kubernetes/testing/cluster.ts';
import { dockerHost, externalPostgresUrl } from './machine.ts';

test('a test that asks for Docker gets a real engine, the same one each time', async () => {
  const [host, again] = await Promise.all([dockerHost(), dockerHost()]);
  expect(again).toBe(host);
  const answer = await new Promise<string>((resolve, reject) => {
    request({ socketPath: host.replace('unix://', ''), path: '/_ping' }, (response) => {
      response.setEncoding('utf8').once('data', resolve);
    })
      .once('error', reject)
      .end();
  });
  expect(answer).toBe('OK');
});

test('a test that asks for an external Postgres gets a real server, reached by TCP with a password', async () => {
  const url = await externalPostgresUrl();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ super: string }>("select current_setting('is_superuser') as super");
  await client.end();
  expect(rows).toEqual([{ super: 'on' }]);
});

test.skipIf(saidMissing() !== null)(
  'a test that asks for Kubernetes gets a real API with controllers, and nodes that say of a pod what its image says',
  async () => {
    const kubernetes = connect(await clusterAccess());
    const namespace = await newNamespace(kubernetes);
    const collection = `/apis/apps/v1/namespaces/${namespace}/deployments`;
    const imageOf = (behaviour: string) => `registry.test/${behaviour}/web@sha256:${'0'.repeat(64)}`;
    const deploy = (name: string, behaviour: string) =>
      kubernetes.create(collection, {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name },
        spec: {
          selector: { matchLabels: { app: name } },
          template: {
            metadata: { labels: { app: name } },
            spec: { containers: [{ name: 'web', image: imageOf(behaviour) }] },
          },
        },
      });
    for (const behaviour of ['well', 'sick', 'crash']) await deploy(behaviour, behaviour);
    const statusOf = async (name: string) => {
      const [pod] = (await kubernetes.list(`/api/v1/namespaces/${namespace}/pods`, { labels: [`app=${name}`] })) ?? [];
      return (pod?.['status'] as { containerStatuses?: unknown[] } | undefined)?.containerStatuses?.[0];
    };
    const imageID = imageOf('well');
    await expect.poll(() => statusOf('well'), { timeout: 60_000 }).toMatchObject({ imageID, ready: true });
    await expect
      .poll(() => statusOf('sick'), { timeout: 60_000 })
      .toMatchObject({ ready: false, state: { running: {} } });
    await expect
      .poll(() => statusOf('crash'), { timeout: 60_000 })
      .toMatchObject({ state: { waiting: { reason: 'CrashLoopBackOff' } } });
    await kubernetes.close();
  },
  180_000,
);
