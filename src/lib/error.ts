import { DISK_FULL, isDiskFull } from './disk-full.ts';

/** What every face of Towpath (CLI, HTTP, page) shows of a failure: a stable code, what happened, what to do. */
export interface Problem {
  readonly code: string;
  readonly what: string;
  readonly fix: string;
}

/**
 * The base of all errors that Towpath raises on purpose. Each folder derives one of its own, with codes that begin
 * with the folder's noun (`artifact.missing`). Match by `code`: after a durable replay `instanceof` no longer holds.
 * `what` and `fix` never carry a secret, an argument list or an environment.
 */
export class TowpathError extends Error implements Problem {
  readonly code: string;
  readonly what: string;
  readonly fix: string;

  constructor(problem: Problem, options?: ErrorOptions) {
    super(`${problem.what} ${problem.fix}`, options);
    this.name = new.target.name;
    this.code = problem.code;
    this.what = problem.what;
    this.fix = problem.fix;
  }
}

/**
 * Reads a problem from anything that was thrown: a full disk is told as such, an unknown error becomes `code`, with its
 * message as what happened.
 */
export function problemOf(error: unknown, code = 'internal.error'): Problem {
  if (isDiskFull(error)) return DISK_FULL;
  if (isProblem(error)) return { code: error.code, what: error.what, fix: error.fix };
  const what = error instanceof Error ? error.message : String(error);
  return { code, what, fix: 'Look at the server log for the whole story; if it repeats, report it with that log.' };
}

/** True when `error` is a problem with one of `codes` (or any problem, when no code is given). */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return isProblem(error) && (codes.length === 0 || codes.includes(error.code));
}

function isProblem(error: unknown): error is Problem {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    'what' in error &&
    'fix' in error &&
    typeof error.code === 'string' &&
    typeof error.what === 'string' &&
    typeof error.fix === 'string'
  );
}
