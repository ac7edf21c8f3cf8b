import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';

import { afterEach, expect, test } from 'vitest';

import { healthCheck, patienceMs } from './health.ts';

const run = promisify(execFile);
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

test.each(['shell', 'node'] as const)(
  'by %s, 2xx and 3xx are well; an error, silence and nobody there are not',
  async (probe) => {
    const port = await serve();
    const answers = ['/well', '/moved', "/it's?a=1&b=$(id)", '/sick', '/missing', '/silent'].map((path) =>
      ask(port, path, probe),
    );
    expect(await Promise.all(answers)).toEqual([true, true, true, false, false, false]);
    expect(await ask(1, '/well', probe)).toBe(false);
  },
);

test.each(['shell', 'node'] as const)('by %s, without a path it counts that something listens', async (probe) => {
  const port = await serve();
  expect([await ask(port, null, probe), await ask(1, null, probe)]).toEqual([true, false]);
});

test.each(['shell', 'node'] as const)(
  'by %s, one that has run for a while is asked only every five seconds',
  async (probe) => {
    const port = await serve();
    const begun = performance.now();
    expect(await ask(port, '/well', probe, 0)).toBe(true);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(5000);
  },
);

test('a worker has no check, and neither has a service whose image brings its own', () => {
  expect(healthCheck({}, 'shell')).toBeUndefined();
  expect(healthCheck({ port: 3000 }, 'image')).toBeUndefined();
});

test('durations are nanoseconds, and a busy node has time for five tries after the start', () => {
  const health = { path: '/', intervalMs: 100, timeoutMs: 2000, startMs: 30_000 };
  expect(healthCheck({ port: 3000, health }, 'node')).toMatchObject({
    Interval: 100_000_000,
    Timeout: 17_000_000_000,
    StartPeriod: 30_000_000_000,
    Retries: 5,
  });
  expect(patienceMs({ port: 3000, health })).toBe(30_000 + 5 * 17_100);
});

/** This machine is the container here, and counts as just begun where its start may take so long. */
async function ask(
  port: number,
  path: string | null,
  probe: 'shell' | 'node',
  startMs = 1_000_000_000_000,
): Promise<boolean> {
  // all but one answer, on a busy machine late; and Node counts also what its own start takes
  const timeoutMs = path !== '/silent' ? 60_000 : probe === 'node' ? 2000 : 500;
  const health = { path: path ?? '', intervalMs: 100, timeoutMs, startMs };
  const check = healthCheck(path === null ? { port } : { port, health }, probe);
  const [, program = '', ...argv] = check?.Test ?? [];
  // GNU's wget asks twenty times where nothing answers
  return run(program, argv, { timeout: path === '/silent' ? 20_000 : 120_000 }).then(
    () => true,
    () => false,
  );
}

async function serve(): Promise<number> {
  const server = createServer(({ url }, response) => {
    if (url === '/silent') return;
    if (url === '/moved') response.setHeader('location', '/well');
    response.statusCode = url === '/sick' ? 500 : url === '/missing' ? 404 : url === '/moved' ? 302 : 200;
    response.end();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return (server.address() as AddressInfo).port;
}
