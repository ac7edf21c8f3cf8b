import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { expect, onTestFinished, test } from 'vitest';

import { connectKubernetes } from '../../container/kubernetes/kubernetes.ts';
import { resourcesOf } from '../../container/kubernetes/resources.ts';
import { systemClock } from '../../lib/clock.ts';
import { KubernetesConfig } from './config.ts';
import { tellLastWords } from './last-words.ts';
import { NOTE } from './names.ts';

const POD = {
  metadata: { name: 'web-1', uid: '1', annotations: { [NOTE.operation]: 'one' } },
  status: {
    phase: 'Running',
    containerStatuses: [{ name: 'web', lastState: { terminated: { message: 'no database' } } }],
  },
};

test('a node that does not answer is waited for until it is called off or too late: its pod says what it can', async () => {
  const stop = new AbortController();
  const server = createServer(({ url = '' }, response) => {
    if (url.includes('/log')) stop.abort(); // as of a node that is away
    else response.end(JSON.stringify({ metadata: {}, items: url.includes('/pods') ? [POD] : [] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const kubernetes = connectKubernetes(
    { server: `http://127.0.0.1:${port}`, namespace: null, tls: {}, credential: { kind: 'none' } },
    { environment: {}, clock: systemClock },
  );
  const target = { project: 'shop', environment: 'prod', slug: 'prod' };
  const lines: string[] = [];
  const rollout = {
    cluster: { kubernetes, resources: resourcesOf(kubernetes) },
    clock: systemClock,
    place: { target, installation: 'here', namespace: 'shop', ownsNamespace: true },
    desired: { target, operation: 'one', services: [], config: KubernetesConfig.parse({}) },
    context: { log: (line: string) => lines.push(line), signal: stop.signal, token: 1n },
  };
  await tellLastWords(rollout, new Map()).catch(() => undefined);
  expect(lines).toEqual(['web-1 web: no database']);
});
