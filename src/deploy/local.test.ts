import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '../lib/clock.ts';
import { sha256 } from '../lib/digest.ts';
import type { DesiredService, Target } from './driver.ts';
import { fileLedger } from './ledger-store.ts';
import { createLocalDriver, LocalConfig, type LocalDriver } from './local.ts';
import type { Cutover } from './local-observer.ts';
import type { Instance, Runtime } from './rollout.ts';

const target: Target = { project: 'shop', environment: 'qa', slug: 'qa' };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-hand-over-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('an environment that changes its driver keeps its address, and nothing of the old driver is left', async () => {
  const upstreams = new Map<number, number>();
  const before = new Map<string, Instance>();
  const after = new Map<string, Instance>();
  const [old, next] = [made('process', before, upstreams), made('docker', after, upstreams)];
  await roll(old, 'one', 1n);
  await next.handOver(target, context(1n));
  expect(before.size).toBe(1);

  await roll(next, 'two', 2n);
  const address = upstreams.get(7100);
  await old.handOver(target, context(2n));
  await old.handOver(target, context(2n));
  expect([before.size, after.size]).toEqual([0, 1]);
  expect(upstreams.get(7100)).toBe(address);
  expect(Object.keys((await next.observe(target)).services)).toEqual(['web']);
  await expect(next.handOver(target, context(1n))).rejects.toMatchObject({ code: 'deploy.fenced' });
});

test('a worker that is old at once, as after a pause of the machine, is looked at again before it counts as well', async () => {
  const machine = new Map<string, Instance>();
  const runtime = memoryRuntime(machine); // all in it was started in 1970
  let looks = 0;
  const driver = made('process', machine, new Map(), {
    ...runtime,
    list: async (of) => {
      if ((looks += 1) === 5) for (const [id, one] of machine) machine.set(id, { ...one, running: false });
      return runtime.list(of);
    },
  });
  const { port: _port, publicPort: _publicPort, ...worker } = web;
  await expect(roll(driver, 'three', 3n, worker)).rejects.toMatchObject({ code: 'deploy.exited' });
});

const web: DesiredService = {
  service: 'web',
  image: 'registry/shop/web',
  digest: sha256(Buffer.from('web')),
  port: 3000,
  publicPort: 7100,
  env: {},
  secrets: {},
  replicas: 1,
  limits: {},
};

function made(
  name: string,
  machine: Map<string, Instance>,
  upstreams: Map<number, number>,
  runtime = memoryRuntime(machine),
): LocalDriver {
  return createLocalDriver({
    statement: { name, config: LocalConfig, lacks: [] },
    how: `run by ${name}`,
    runtime,
    cutover: memoryCutover(upstreams),
    ledger: fileLedger(folder),
    secrets: { resolve: () => Promise.reject(new Error('no secrets here')) },
    probe: () => Promise.resolve(true),
    clock: systemClock,
  });
}

async function roll(driver: LocalDriver, operation: string, token: bigint, service = web): Promise<void> {
  const desired = { target, config: driver.config.parse({}), services: [service], operation };
  await driver.apply(desired, driver.plan(desired, await driver.observe(target)), context(token));
}

function context(token: bigint) {
  return { log: () => undefined, signal: new AbortController().signal, token };
}

let lastPort = 40_000;

/** A machine in memory: what was started runs until it is stopped. */
function memoryRuntime(machine: Map<string, Instance>): Runtime {
  return {
    ensureImage: () => Promise.resolve(),
    async start({ id, operation, service }) {
      machine.set(id, {
        id,
        service: service.service,
        operation,
        digest: service.digest,
        running: true,
        startedAtMs: 0,
        address: service.port === undefined ? null : { host: '127.0.0.1', port: ++lastPort },
        health: null,
        publicPort: service.publicPort ?? null,
      });
    },
    list: () => Promise.resolve([...machine.values()]),
    stop: () => Promise.resolve(),
    async remove(_target, id) {
      machine.delete(id);
    },
    async *output() {},
    clear: () => Promise.resolve(),
  };
}

function memoryCutover(upstreams: Map<number, number>): Cutover {
  return {
    async route({ port, upstreams: [first] }) {
      upstreams.set(port, first?.port ?? 0);
    },
    async unroute({ port }) {
      upstreams.delete(port);
    },
    forget: () => Promise.resolve(upstreams.clear()),
    routes: () =>
      Promise.resolve(
        [...upstreams].map(([port, to]) => ({ port, service: 'web', upstreams: [{ host: '127.0.0.1', port: to }] })),
      ),
    drained: () => Promise.resolve(0),
  };
}
