import { readFile } from 'node:fs/promises';

import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';

import { startSwarmEngine } from '../../../tools/test-machine/swarm.js';
import { hasCode } from '../../lib/error.ts';
import type { ApplyContext, DesiredService, Observed } from '../driver.ts';
import { type Rollouts, rolloutsOf } from '../testing/rollouts.ts';
import { type SwarmUnderTest, swarmUnderTest } from '../testing/swarm-machine.ts';
import { LABEL } from './names.ts';

/** An engine counts as down after 15 s, and a leader is chosen within 20 s. */
const PATIENCE = { timeout: 60_000, interval: 30 };
vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

const REPLICAS = 2;

let under: SwarmUnderTest;
let run: Rollouts;
let tokens = 0n;
const dead = new Set<number>();

beforeAll(async () => {
  under = await swarmUnderTest(3);
  run = rolloutsOf(under);
});

afterEach(async () => {
  under.relay.letGo();
  await startAgain();
  await everyNodeIsUp();
});

afterAll(async () => {
  await under.by(0).destroy(run.target, contextOf());
  await under.dispose();
});

test('what is deployed by one manager the others show, and none lets a late writer in', async () => {
  const services = [await run.web('v1', { replicas: REPLICAS })];
  const seen = await deploy(0, 'one', services);
  expectRunning(seen, services, 'one');
  expect(await run.text('/')).toBe('v1');
  for (const other of [1, 2]) expect(await under.by(other).observe(run.target)).toEqual(seen);
  const late = deploy(2, 'late', [await run.web('v2')], { ...contextOf(), token: 0n });
  await expect(late).rejects.toMatchObject({ code: 'deploy.fenced' });
  expect(await under.by(1).observe(run.target)).toEqual(seen);
});

test('an engine is killed before a new replica runs on it: the others take it, and users notice nothing', async () => {
  const services = [await run.web('v2', { replicas: REPLICAS })];
  const leader = await leaderOf();
  under.relay.hold((engine) => engine === under.swarm.nodes[leader]?.address);
  const watch = watchAddress();
  const rolling = deploy(leader, 'two', services);
  const { node: killed } = await vi.waitUntil(
    async () =>
      (await tasksOf(leader, 'two')).find(
        ({ node, state }) => node !== leader && ['assigned', 'preparing', 'starting'].includes(state),
      ),
    PATIENCE,
  );
  await kill(killed);
  under.relay.letGo();
  expectRunning(await rolling, services, 'two');
  const serving = (await tasksOf(leader, 'two')).filter(
    ({ state, desired }) => state === 'running' && desired === state,
  );
  expect(serving.map(({ node }) => node)).not.toContain(killed);
  expect(await run.text('/')).toBe('v2');
  expect(await watch.end()).toEqual([]);
});

test('the leader is killed in the middle of a rollout: by another manager the same rollout comes to its end', async () => {
  const services = [await run.web('v3', { replicas: REPLICAS })];
  const leader = await leaderOf();
  under.relay.hold(onlyTheFirst());
  const rolling = deploy(leader, 'three', services);
  await oneRuns(leader, 'three');
  await kill(leader);
  await expect(rolling).rejects.toMatchObject({ code: 'docker.unreachable' });
  under.relay.letGo();
  const [other, third] = [0, 1, 2].filter((number) => number !== leader) as [number, number];
  const seen = await deploy(other, 'three', services);
  expectRunning(seen, services, 'three');
  expect(await under.by(third).observe(run.target)).toEqual(seen);
  expect(await run.text('/')).toBe('v3');
});

test('while two of three managers are gone a rollout waits, and when one comes back it goes on', async () => {
  const services = [await run.web('v4', { replicas: REPLICAS })];
  const leader = await leaderOf();
  const [asked, third] = [0, 1, 2].filter((number) => number !== leader) as [number, number];
  const lines: string[] = [];
  under.relay.hold(onlyTheFirst());
  const rolling = deploy(asked, 'four', services, contextOf(lines));
  await oneRuns(asked, 'four');
  await Promise.all([kill(leader), kill(third)]);
  await expect.poll(() => lines.join(), PATIENCE).toContain('have no leader');
  await expect(under.by(asked).observe(run.target)).rejects.toMatchObject({ code: 'swarm.no-leader' });
  under.relay.letGo();
  await startAgain(third);
  expectRunning(await rolling, services, 'four');
  expect(await run.text('/')).toBe('v4');
});

/** By a manager, from what it sees: asked again while it has no leader, as a promotion is. */
async function deploy(
  by: number,
  operation: string,
  services: readonly DesiredService[],
  context = contextOf(),
): Promise<Observed> {
  const driver = under.by(by);
  const desired = { target: run.target, config: driver.config.parse({}), services, operation };
  const seen = await vi.waitUntil(
    () =>
      driver.observe(run.target).catch((error: unknown) => {
        if (!hasCode(error, 'swarm.no-leader')) throw error;
        return null;
      }),
    PATIENCE,
  );
  await driver.apply(desired, driver.plan(desired, seen), context);
  return driver.observe(run.target);
}

function contextOf(lines: string[] = []): ApplyContext {
  return { log: (line) => void lines.push(line), signal: new AbortController().signal, token: ++tokens };
}

function expectRunning(seen: Observed, [service]: readonly DesiredService[], operation: string): void {
  expect(seen.services['web']?.replicas.map(({ id: _id, ...rest }) => rest)).toEqual(
    Array.from({ length: REPLICAS }, () => ({ digest: service?.digest, operation, health: 'healthy', serving: true })),
  );
}

/** Asks the address again and again. @returns what went wrong until it is ended */
function watchAddress(): { end(): Promise<string[]> } {
  const failures: string[] = [];
  const stop = new AbortController();
  const asking = (async () => {
    while (!stop.signal.aborted) {
      const answer = await run.text('/').catch(String);
      if (!/^v\d$/.test(answer)) failures.push(answer);
    }
  })();
  return {
    end: async () => {
      stop.abort();
      await asking;
      return failures;
    },
  };
}

async function leaderOf(by = 0): Promise<number> {
  const nodes = (await (await under.engine(by)).docker.listNodes()) as Node[];
  const leader = nodes.find(({ ManagerStatus }) => ManagerStatus?.Leader === true);
  return numberOf(leader);
}

interface Node {
  readonly ID: string;
  readonly Status: { readonly State: string };
  readonly ManagerStatus?: { readonly Addr: string; readonly Leader?: boolean };
}

function numberOf(node: Node | undefined): number {
  return under.swarm.nodes.findIndex(({ address }) => node?.ManagerStatus?.Addr === `${address}:2377`);
}

async function tasksOf(by: number, operation: string) {
  const { docker } = await under.engine(by);
  const [nodes, tasks] = await Promise.all([
    docker.listNodes() as Promise<Node[]>,
    docker.listTasks({ filters: JSON.stringify({ label: [`${LABEL.operation}=${operation}`] }) }) as Promise<Task[]>,
  ]);
  return tasks.map(({ NodeID, DesiredState, Status }) => ({
    node: numberOf(nodes.find(({ ID }) => ID === NodeID)),
    desired: DesiredState,
    state: Status.State,
  }));
}

interface Task {
  readonly NodeID?: string;
  readonly DesiredState: string;
  readonly Status: { readonly State: string };
}

/** So that one replica runs, and the next one cannot before it is let go. */
function onlyTheFirst(): (engine: string) => boolean {
  let first: string | undefined;
  return (engine) => engine === (first ??= engine);
}

async function oneRuns(by: number, operation: string): Promise<void> {
  const states = async (): Promise<string[]> => (await tasksOf(by, operation)).map(({ state }) => state);
  await expect.poll(states, PATIENCE).toContain('running');
}

/** As the machine's end would: no goodbye. The programs in its containers go on. */
async function kill(number: number): Promise<void> {
  dead.add(number);
  process.kill(Number(await readFile(under.swarm.nodes[number]?.pidFile ?? '', 'utf8')), 'SIGKILL');
}

/** @param numbers by default all that were killed */
async function startAgain(...numbers: number[]): Promise<void> {
  for (const [number, engine] of under.swarm.nodes.entries()) {
    if (!dead.has(number) || (numbers.length > 0 && !numbers.includes(number))) continue;
    await startSwarmEngine(engine);
    dead.delete(number);
  }
}

async function everyNodeIsUp(): Promise<void> {
  const { docker } = await under.engine(0);
  await vi.waitUntil(async () => {
    const nodes = (await docker.listNodes().catch(() => [])) as Node[];
    return nodes.filter(({ Status }) => Status.State === 'ready').length === under.swarm.nodes.length;
  }, PATIENCE);
}
