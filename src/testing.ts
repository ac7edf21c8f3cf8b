/** The conformance kit: what every driver has to do. It needs vitest. */
export { makeDriver } from './deploy/outside/make-driver.ts';
export { describeDriver } from './deploy/testing/conformance.ts';
export { type Behaviour, PROGRAM_ARGV, PROGRAM_WORKDIR, programFiles } from './deploy/testing/program.ts';
export { programImage } from './deploy/testing/program-image.ts';
export { HOSTILE } from './deploy/testing/hostile.ts';
export { CANARY, type DriverUnderTest } from './deploy/testing/rollouts.ts';
export { testTools } from './deploy/testing/test-tools.ts';
export { pushTestImage as pushImage, type TestImage as ProgramImage } from '../tools/test-machine/oci-image.ts';
