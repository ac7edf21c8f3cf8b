import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import { untilTrue } from '../../lib/until.ts';
import { rolloutsOf } from '../testing/rollouts.ts';
import { type SwarmUnderTest, swarmUnderTest } from '../testing/swarm-machine.ts';
import { startLoad } from '../testing/under-load.ts';
import type { ApplyContext, Desired, DesiredService } from '../driver.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let under: SwarmUnderTest;

beforeAll(async () => {
  under = await swarmUnderTest(3);
});

afterAll(() => under.dispose());

test('of two that deploy at once by different managers the one with the higher token decides, whoever is first', async () => {
  const { web, target, observe, end, deploy } = rolloutsOf(under);
  try {
    await deploy('before', [await web('v0')]);
    for (const [round, order] of [
      [1, [10n, 11n]],
      [2, [21n, 20n]],
    ] as const) {
      const services = new Map(
        await Promise.all(order.map(async (token) => [token, [await web(`v${token % 2n}`)]] as const)),
      );
      const results = await Promise.allSettled(
        order.map((token, index) => roll(index, token, services.get(token) ?? [])),
      );
      const high = order[0] > order[1] ? 0 : 1;
      expect(results[high]).toMatchObject({ status: 'fulfilled' });
      expect(results[1 - high]).toMatchObject({ status: 'rejected' });
      const { services: seen } = await observe();
      expect(seen['web']?.replicas.map(({ operation, health }) => ({ operation, health }))).toEqual([
        { operation: `op-${order[high]}`, health: 'healthy' },
      ]);
      expect(round).toBeLessThan(3);
    }
    const roll3 = roll(2, 12n, [await web('v1')]);
    await expect(roll3).rejects.toMatchObject({ code: 'deploy.fenced' });
  } finally {
    await end();
  }

  async function roll(manager: number, token: bigint, services: readonly DesiredService[]): Promise<void> {
    const driver = under.by(manager);
    const desired: Desired = { target, config: driver.config.parse({}), services, operation: `op-${token}` };
    const context: ApplyContext = { log: () => undefined, signal: new AbortController().signal, token };
    const { plan, apply } = driver as unknown as { plan: typeof driver.plan; apply: typeof driver.apply };
    await apply(desired as never, plan(desired as never, await driver.observe(target)), context);
  }
});

test('an engine that is killed in the middle of a rollout keeps it from nothing, and users from nothing', async () => {
  const { web, deploy, target, observe, end, url } = rolloutsOf(under);
  try {
    await deploy('one', [await web('v1', { replicas: 3 })]);
    const load = startLoad(`${await url()}/`);
    const rolling = deploy('two', [await web('v2', { replicas: 3 })]);
    const begun = await untilTrue(
      async () =>
        (await observe()).services['web']?.replicas.some(({ operation, serving }) => operation === 'two' && serving) ??
        false,
      { everyMs: 100, timeoutMs: 120_000, signal: new AbortController().signal },
    );
    expect(begun).toBe(true);
    process.kill(under.swarm.nodes[2]?.pid ?? 0, 'SIGKILL');
    const after = await rolling;
    expect(after.services['web']?.replicas.map(({ operation, health }) => ({ operation, health }))).toEqual(
      Array.from({ length: 3 }, () => ({ operation: 'two', health: 'healthy' })),
    );
    const digest = (await web('v2')).digest;
    const settled = await untilTrue(
      async () => {
        await under.restart().leadAgain();
        const { replicas } = (await under.restart().observe(target)).services['web'] ?? { replicas: [] };
        return replicas.length === 3 && replicas.every((each) => each.serving && each.digest === digest);
      },
      { everyMs: 250, timeoutMs: 120_000, signal: new AbortController().signal },
    );
    expect(settled).toBe(true);
    const { requests, failed } = await load.end();
    console.log(`an engine killed under ${requests} requests: ${failed} failed`);
    expect(requests).toBeGreaterThan(1000);
  } finally {
    await end();
  }
});
