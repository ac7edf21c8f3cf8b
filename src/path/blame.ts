import type { Problem } from '../lib/error.ts';

/** Something of the release ran, and did not do well. */
const OF_THE_ARTIFACTS: ReadonlySet<string> = new Set([
  'deploy.exited',
  'deploy.unhealthy',
  'deploy.not-healthy',
  'check.failed',
]);

/**
 * Whether a failure speaks against the artifacts. All others are those of their surroundings: a secret that is not there, an
 * engine that does not answer, a check that could not be run, work that was lost.
 */
export function blamesArtifacts({ code }: Pick<Problem, 'code'>): boolean {
  return OF_THE_ARTIFACTS.has(code);
}
