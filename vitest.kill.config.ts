import { defineConfig } from 'vitest/config';

/** `make kill`: the suites that kill servers, alone, because they take the whole machine. */
export default defineConfig({
  test: {
    include: ['e2e/kill.suite.ts', 'e2e/killed-*.suite.ts'],
    fileParallelism: false,
    globalSetup: ['tools/test-machine/set-up.ts', 'src/store/testing/set-up.ts', 'e2e/testing/set-up.ts'],
    reporters: ['default', './tools/test-machine/failures-reporter.ts', './e2e/testing/count-reporter.ts'],
    testTimeout: 300_000, // for what hangs: what is slow on a busy machine is no failure
    hookTimeout: 300_000,
    expect: { poll: { timeout: 30_000 } },
    passWithNoTests: false,
  },
});
