import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { defineConfig } from 'vitest/config';

/** `make fuzz`: the files that hold properties, each property with many times its cases and a seed of its own. */
export default defineConfig({
  test: {
    include: ['src', 'e2e']
      .flatMap((folder) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)))
      .filter((file) => file.endsWith('.test.ts') && readFileSync(file, 'utf8').includes("'fast-check'")),
    setupFiles: ['tools/test-machine/cases.ts'],
    globalSetup: ['tools/test-machine/set-up.ts', 'src/store/testing/set-up.ts', 'e2e/testing/set-up.ts'],
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
    maxWorkers: 2,
    reporters: ['default', './tools/test-machine/failures-reporter.ts'],
    passWithNoTests: false,
  },
});
