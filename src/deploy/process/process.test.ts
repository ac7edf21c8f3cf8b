import { describeDriver } from '../testing/conformance.ts';
import { processUnderTest } from '../testing/process-machine.ts';

describeDriver('process', () => processUnderTest());
