import { expect, test, vi } from 'vitest';

import { describeDriver } from '../testing/conformance.ts';
import { rolloutsOf } from '../testing/rollouts.ts';
import { swarmUnderTest } from '../testing/swarm-machine.ts';
import { promoteUnderLoad } from '../testing/under-load.ts';
import { swarmStatement } from './config.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // a replica takes seconds to be replaced, and the kit replaces many

describeDriver(swarmStatement, () => swarmUnderTest(1));

test('a value that looks like one of the templates that Swarm fills in arrives as it stands', async () => {
  const under = await swarmUnderTest(1);
  const { deploy, web, text, end } = rolloutsOf(under);
  try {
    const value = '{{.Node.ID}} {{ {{{ }} {{"{{"}}';
    await deploy('one', [await web('v1', { env: { COLOUR: value } })]);
    expect(JSON.parse(await text('/env?name=COLOUR'))).toBe(value);
  } finally {
    await end();
    await under.dispose();
  }
});

test('a task that Swarm begins again is found again behind its address', async () => {
  const under = await swarmUnderTest(1);
  const { deploy, web, text, end } = rolloutsOf(under);
  try {
    await deploy('one', [await web('v1')]);
    const { docker } = await under.engine(0);
    const filters = JSON.stringify({ label: [`dev.towpath.installation=${under.installation}`] });
    const [container] = await docker.listContainers({ filters });
    await docker.getContainer(container?.Id ?? '').kill();
    await expect.poll(() => text('/').catch(() => '')).not.toBe('v1');
    const again = async (): Promise<string> => {
      await under.by(0).leadAgain();
      return text('/').catch(() => '');
    };
    await expect.poll(again, { timeout: 60_000 }).toBe('v1');
  } finally {
    await end();
    await under.dispose();
  }
});

test('50 connections notice nothing of three promotions, a failed one and a rollback', async () => {
  const under = await swarmUnderTest(1);
  try {
    const { requests, failed } = await promoteUnderLoad(under);
    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(1000);
  } finally {
    await under.dispose();
  }
});
