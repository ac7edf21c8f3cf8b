import { type Problem, problemOf } from '../lib/error.ts';
import type { Channel } from './channel.ts';

/** What a refusal means for what is to be told. */
export type Verdict =
  | { readonly kind: 'taken' }
  /** Too much was asked: this host is asked nothing before. */
  | { readonly kind: 'wait'; readonly untilMs: number }
  /** The host is out of order, or busy with the same thing. */
  | { readonly kind: 'away'; readonly problem: Problem }
  /** Somebody has to change something; `everything`: it holds for whatever is told with this token. */
  | { readonly kind: 'refused'; readonly problem: Problem; readonly everything: boolean }
  /** No other try would end otherwise. */
  | { readonly kind: 'never'; readonly problem: Problem };

/** A limit that names no end. */
const UNSAID_WAIT_MS = 60_000;
/** Whatever a host says, it is asked again on the same day. */
const LONGEST_WAIT_MS = 6 * 3_600_000;

/** @param error what the client of the host threw */
export function verdictOf(error: unknown, { permission }: Channel, nowMs: number): Verdict {
  const problem = problemOf(error);
  const { status, retryAfterMs } = detailsOf(error);
  const refused: Problem = {
    code: 'notify.refused',
    what: problem.what,
    fix: `The token for notices has to be ${permission}; \`towpath project set --notices REFERENCE\` names another.`,
  };
  switch (problem.code) {
    case 'host.busy':
      return { kind: 'wait', untilMs: nowMs + Math.min(retryAfterMs ?? UNSAID_WAIT_MS, LONGEST_WAIT_MS) };
    case 'host.denied':
      return { kind: 'refused', problem: refused, everything: true };
    case 'host.not-found': // a commit that is gone, or everything: a token that may see nothing is answered so too
      return { kind: 'refused', problem: refused, everything: false };
    case 'host.refused':
      return status === 409 ? { kind: 'away', problem } : { kind: 'never', problem };
    case 'host.unreachable':
      return { kind: 'away', problem };
    default: // a secret that is not there, an address that has moved, something else than a host
      return { kind: 'refused', problem, everything: true };
  }
}

/** @returns the status of the answer, if there was one */
export function statusOf(error: unknown): number {
  return detailsOf(error).status ?? 0;
}

function detailsOf(error: unknown): { status?: number; retryAfterMs?: number } {
  if (typeof error !== 'object' || error === null) return {};
  const { status, retryAfterMs } = error as { status?: unknown; retryAfterMs?: unknown };
  return {
    ...(typeof status === 'number' ? { status } : {}),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
  };
}
