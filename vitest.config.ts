import { defineConfig } from 'vitest/config';

/** Tests sit beside the code (`src`); stories over the whole product are in `e2e`. Set-up that needs the machine is in `tools`. */
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'e2e/**/*.test.ts', 'tools/**/*.test.ts'],
    setupFiles: ['tools/test-machine/cases.ts'],
    globalSetup: ['tools/test-machine/set-up.ts', 'src/store/testing/set-up.ts', 'e2e/testing/set-up.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    passWithNoTests: false,
  },
});
