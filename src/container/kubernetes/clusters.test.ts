import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { expect, onTestFinished, test } from 'vitest';

import { systemClock } from '../../lib/clock.ts';
import { createClusters } from './clusters.ts';

test('a renewed kubeconfig counts from the next question on, and takes the cluster from nobody who is at work', async () => {
  const tokens: string[] = [];
  const server = createServer((request, response) => {
    tokens.push(request.headers.authorization ?? '');
    response.end('{ "metadata": { "name": "one", "uid": "1" } }');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  let token = 'first';
  const clusters = createClusters({
    environment: {},
    clock: systemClock,
    secretOf: () =>
      Promise.resolve(`
clusters: [{ name: a, cluster: { server: "http://127.0.0.1:${port}" } }]
users: [{ name: a, user: { token: ${token} } }]
contexts: [{ name: a, context: { cluster: a, user: a } }]
current-context: a
`),
  });
  const wish = { kubeconfig: 'env:PROD' };
  const first = await clusters.of(wish);
  await first.get('/one');
  expect(await clusters.of(wish)).toBe(first);
  token = 'second';
  const second = await clusters.of(wish);
  expect(second).not.toBe(first);
  await second.get('/one');
  await first.get('/one');
  expect(tokens).toEqual(['Bearer first', 'Bearer second', 'Bearer first']);
  await clusters.close();
});
