import type { PromotionState } from '../path/promotion.ts';
import { problemOf } from '../lib/error.ts';

/** Exit codes are a contract with scripts; `docs/guide/cli.md` has the same table. */
export const EXIT = {
  ok: 0,
  /** It was tried and failed, or could not be tried. */
  failed: 1,
  /** By a person (Ctrl-C too), or overtaken by a newer promotion. */
  cancelled: 2,
  /** The path's policy says no; `towpath why` has the reasons. */
  refused: 3,
  /** No valid token, or one that lacks the permission. */
  auth: 4,
  /** The command line itself was wrong. */
  usage: 64,
  /** `--timeout` was over before `--wait` had its answer; the work goes on. Of `verify`: it waits for something. */
  timeout: 75,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export function exitOfState(state: PromotionState): ExitCode {
  switch (state) {
    case 'failed':
    case 'rolled-back':
      return EXIT.failed;
    case 'cancelled':
    case 'superseded':
      return EXIT.cancelled;
    case 'refused':
      return EXIT.refused;
    default:
      return EXIT.ok;
  }
}

export function exitOfError(error: unknown): ExitCode {
  const { code } = problemOf(error);
  if (/^access\.(?:unauthenticated|forbidden|commit-forbidden|identity-\w+)$/.test(code)) return EXIT.auth;
  if (code === 'cli.usage-invalid') return EXIT.usage;
  if (code === 'cli.cancelled') return EXIT.cancelled;
  if (code === 'cli.timeout') return EXIT.timeout;
  if (code === 'artifact.report-conflict') return EXIT.refused;
  return code.endsWith('.refused') || code.endsWith('.barred') ? EXIT.refused : EXIT.failed;
}
