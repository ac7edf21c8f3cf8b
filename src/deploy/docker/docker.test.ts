import { vi } from 'vitest';

import { describeDriver } from '../testing/conformance.ts';
import { dockerUnderTest } from '../testing/docker-machine.ts';

vi.setConfig({ testTimeout: 300_000 }); // a container starts in half a second, and the kit starts some hundred

describeDriver('docker', () => dockerUnderTest());
