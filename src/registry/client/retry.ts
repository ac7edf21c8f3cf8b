import { setTimeout as sleep } from 'node:timers/promises';

/** How long to go on when a registry is busy or gone. Time and chance come from outside, so that a test waits for nothing. */
export interface RetryPolicy {
  /** Tries in all. */
  readonly attempts: number;
  /** The first pause; each further one is twice as long, up to `maxDelayMs`. */
  readonly delayMs: number;
  readonly maxDelayMs: number;
  readonly wait: (ms: number) => Promise<void>;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly now: () => number;
}

/** How the clients of registries and buckets try, unless they are told otherwise. */
export const PATIENCE: RetryPolicy = {
  attempts: 6,
  delayMs: 100,
  maxDelayMs: 20_000,
  wait: async (ms) => sleep(ms),
  random: Math.random,
  now: Date.now,
};

/** A registry that is busy or broken for now: of what was asked it says nothing. 501 is an answer: it never does this. */
export function isRetriedStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501);
}

/**
 * @param attempt 1 after the first try
 * @param retryAfter the header of the answer: seconds or a date (RFC 9110); obeyed up to `maxDelayMs`
 */
export function delayBefore(attempt: number, retryAfter: string | undefined, policy: RetryPolicy): number {
  const asked = retryAfter === undefined ? Number.NaN : retryAfterMs(retryAfter, policy.now());
  const own = policy.delayMs * 2 ** (attempt - 1) * (0.5 + policy.random() / 2);
  return Math.min(policy.maxDelayMs, Number.isNaN(asked) ? own : Math.max(asked, own));
}

function retryAfterMs(header: string, now: number): number {
  return /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Math.max(0, Date.parse(header) - now);
}
