import { expect, test, vi } from 'vitest';

import { describeDriver } from '../testing/conformance.ts';
import { dockerUnderTest } from '../testing/docker-machine.ts';
import { rolloutsOf } from '../testing/rollouts.ts';
import { promoteUnderLoad } from '../testing/under-load.ts';
import { dockerStatement } from './config.ts';

vi.setConfig({ testTimeout: 300_000 }); // a container starts in half a second, and the kit starts some hundred

describeDriver(dockerStatement, () => dockerUnderTest());

test('50 connections notice nothing of three promotions, a failed one and a rollback', async () => {
  const under = await dockerUnderTest();
  try {
    const { requests, failed } = await promoteUnderLoad(under);
    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(1000);
  } finally {
    await under.dispose();
  }
});

test('a late hand is refused before it makes room for its job: the one that works goes on', async () => {
  const under = await dockerUnderTest();
  try {
    const { job, web, logged, end } = rolloutsOf(under);
    const services = [await web('v1')];
    const some = ['node', '-e', `console.log('at work'); setTimeout(() => process.exit(5), 2000)`];
    const working = job('one', services, { argv: some });
    await expect.poll(logged, { timeout: 60_000 }).toContain('at work');
    const late = job('late', services, { argv: some, token: 0n });
    await expect(late).rejects.toMatchObject({ code: 'deploy.fenced' });
    expect((await working).end).toEqual({ kind: 'exited', code: 5 });
    await end();
  } finally {
    await under.dispose();
  }
});
