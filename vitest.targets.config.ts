import { defineConfig } from 'vitest/config';

/** `make demo-targets`: the demo on each target that `make test` does not play it on, some minutes each. */
export default defineConfig({
  test: {
    include: ['e2e/demo-targets.suite.ts'],
    globalSetup: ['tools/test-machine/set-up.ts', 'e2e/testing/set-up.ts'],
    hookTimeout: 120_000,
    reporters: ['default', './tools/test-machine/failures-reporter.ts'],
    passWithNoTests: false,
  },
});
