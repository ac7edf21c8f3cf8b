import { defineConfig } from 'vitest/config';

/** `make test-sonar`: against a real SonarQube, which takes two gigabytes and minutes. */
export default defineConfig({
  test: {
    include: ['e2e/sonar.suite.ts'],
    testTimeout: 600_000,
    hookTimeout: 900_000,
    passWithNoTests: false,
  },
});
