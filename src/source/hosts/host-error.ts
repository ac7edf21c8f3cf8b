import { TowpathError, type Problem } from '../../lib/error.ts';

/**
 * A failure of a git host's API. Codes: `host.busy` (asked too often; `retryAfterMs` says how long to wait), `host.denied`,
 * `host.not-found`, `host.refused` (it understood and said no), `host.moved`, `host.unreachable`, `host.malformed`,
 * `host.no-token`, `host.app-key`.
 */
export class HostError extends TowpathError {
  readonly retryAfterMs: number | undefined;
  /** Of the answer; undefined when there was none. */
  readonly status: number | undefined;

  constructor(
    problem: Problem,
    options: ErrorOptions & { readonly retryAfterMs?: number | undefined; readonly status?: number | undefined } = {},
  ) {
    super(problem, options);
    this.retryAfterMs = options.retryAfterMs;
    this.status = options.status;
  }
}
