import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The longest files are here, first those that mostly wait: one that begins last leaves the other processors nothing to do. */
const FIRST = ['/src/deploy/', '/e2e/', '/src/flow/'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number =>
      [...FIRST, ''].findIndex((folder) => moduleId.includes(folder));
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
  }
}

/** Tests sit beside the code (`src`); stories over the whole product are in `e2e`. Set-up that needs the machine is in `tools`. */
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'e2e/**/*.test.ts', 'tools/**/*.test.ts'],
    setupFiles: ['tools/test-machine/cases.ts'],
    globalSetup: ['tools/test-machine/set-up.ts', 'src/store/testing/set-up.ts', 'e2e/testing/set-up.ts'],
    testTimeout: 180_000, // for what hangs: what is slow on a busy machine is no failure
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } }, // what comes soon comes later on a busy machine
    // more than the two processors of CI: a third of the time a story waits for a program
    maxWorkers: 3,
    isolate: false, // a worker loads each module once, which is a quarter of what all tests take
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './tools/test-machine/failures-reporter.ts'],
    passWithNoTests: false,
  },
});
