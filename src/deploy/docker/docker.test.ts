import { expect, test, vi } from 'vitest';

import { describeDriver } from '../testing/conformance.ts';
import { dockerUnderTest } from '../testing/docker-machine.ts';
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
