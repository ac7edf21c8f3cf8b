import { describe, vi } from 'vitest';

import { saidMissing } from '../../container/kubernetes/testing/cluster.ts';
import { describeDriver } from '../testing/conformance.ts';
import { kubernetesUnderTest } from '../testing/kubernetes-machine.ts';
import { kubernetesStatement } from './config.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

describe.skipIf(saidMissing() !== null)('with a real API server', () => {
  describeDriver(kubernetesStatement, kubernetesUnderTest, {
    unseen: 'no container runs on the nodes of the test cluster',
  });
});
