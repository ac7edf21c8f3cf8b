import { readFile, readdir } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { chrootLauncher } from '../../container/process/chroot.ts';
import { hostLauncher } from '../../container/process/host.ts';
import { systemClock } from '../../lib/clock.ts';
import { sha256Hex } from '../../lib/digest.ts';
import { describeDriver } from '../testing/conformance.ts';
import { processUnderTest } from '../testing/process-machine.ts';
import { CANARY, rolloutsOf } from '../testing/rollouts.ts';
import { promoteUnderLoad } from '../testing/under-load.ts';
import { processStatement } from './config.ts';

describeDriver(processStatement, () => processUnderTest());

test('50 connections notice nothing of three promotions, a failed one and a rollback', async () => {
  const under = await processUnderTest();
  try {
    const { requests, failed } = await promoteUnderLoad(under);
    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(1000);
  } finally {
    await under.dispose();
  }
}, 300_000);

test.each([chrootLauncher(), hostLauncher()])(
  'it works by $name too, where nothing better is allowed',
  async (launcher) => {
    const under = await processUnderTest([launcher]);
    const { deploy, web, worker, text, end } = rolloutsOf(under);
    await deploy('one', [await web('v1'), await worker('v1')]);
    const service = await web('v2', { replicas: 2, secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } });
    const observed = await deploy('two', [service, await worker('v2')]);
    expect(observed.services['web']?.replicas.map(({ health, serving }) => [health, serving])).toEqual([
      ['healthy', true],
      ['healthy', true],
    ]);
    expect(await text('/')).toBe('v2');
    expect(await text('/secret?name=TOKEN')).toBe(sha256Hex(CANARY));
    await end();
    await under.dispose();
  },
);

test('the plan says plainly that processes are not isolated', async () => {
  const under = await processUnderTest();
  const { stepsOf, web } = rolloutsOf(under);
  const steps = await stepsOf('one', [await web('v1')]);
  expect(steps.map(({ summary }) => summary).join('\n')).toContain('not isolated');
  await under.dispose();
});

test('what was killed from outside is started again on its port, with its secrets, and its address answers', async () => {
  const under = await processUnderTest();
  const { deploy, web, worker, text, observe, end } = rolloutsOf(under);
  const service = await web('v1', { secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } });
  const before = await deploy('one', [service, await worker('v1')]);
  const digest = await text('/secret?name=TOKEN');
  for (const pid of await pidsOf(under.directory)) process.kill(pid, 'SIGKILL');
  await expect.poll(() => healthsOf(observe())).toEqual(['stopped', 'stopped']);
  expect(await under.restart().revive(() => undefined)).toBe(2);
  await expect.poll(() => healthsOf(observe()), { timeout: 30_000 }).toEqual(['healthy', 'healthy']);
  expect(await observe()).toEqual(before);
  expect(await text('/secret?name=TOKEN')).toBe(digest);
  expect(await under.restart().revive(() => undefined)).toBe(0);
  await end();
  expect(await under.restart().revive(() => undefined)).toBe(0);
  await under.dispose();
});

test('a clock that is set during a rollout ends no waiting early, and makes none longer', async () => {
  let looks = 0;
  const now = (): number => Date.now() + ((looks += 1) % 3 === 0 ? -1 : 1) * 3_600_000;
  const under = await processUnderTest(undefined, { ...systemClock, now });
  const { deploy, web, worker, end } = rolloutsOf(under);
  const { services } = await deploy('one', [await web('v1', { startMs: 20_000 }), await worker('v1')]);
  expect(services['web']?.replicas).toMatchObject([{ health: 'healthy', serving: true }]);
  await end();
  await under.dispose();
});

test.runIf(process.geteuid?.() === 0)('as root, an environment has a user of its own', async () => {
  const under = await processUnderTest();
  const { deploy, web, text, end } = rolloutsOf(under);
  await deploy('one', [await web('v1')]);
  const { user } = JSON.parse(await text('/who')) as { user: number };
  expect(user).toBeGreaterThan(0x7000_0000);
  await end();
  await under.dispose();
});

async function healthsOf(observed: ReturnType<ReturnType<typeof rolloutsOf>['observe']>): Promise<string[]> {
  return Object.values((await observed).services).flatMap(({ replicas }) => replicas.map(({ health }) => health));
}

/** The processes of this test's driver, found as the driver finds them. */
async function pidsOf(directory: string): Promise<number[]> {
  const pids: number[] = [];
  for (const name of await readdir(`${directory}/run/instances`, { recursive: true })) {
    if (!name.endsWith('record.json')) continue;
    const { pid } = JSON.parse(await readFile(`${directory}/run/instances/${name}`, 'utf8')) as { pid: number };
    pids.push(-pid); // the whole group
  }
  return pids;
}
