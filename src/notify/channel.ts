import { hashOfJson } from '../lib/digest.ts';
import type { Notice } from './notice.ts';

/**
 * A kind of git host, as far as it can be told something. It plans requests and reads their answers; others send them, and
 * write down what is known after each.
 */
export interface Channel {
  /** Of the git host in `source/`. */
  readonly name: string;
  /** The least that its token has to be allowed. */
  readonly permission: string;
  /** False where a promotion is told as a status of its commit. */
  readonly deployments: boolean;
  /** The next request on the way to showing the notice; null when the host shows it. */
  next(notice: Notice, shown: Shown): Call | null;
}

/** What a host is known to show of a notice; kept beside it. */
export interface Shown {
  /** The hash of the last notice that it took. */
  readonly told?: string;
  /** Its own id of what was made there, so that nothing is made twice. */
  readonly id?: number;
  /** Of the environment that it belongs to. */
  readonly environment?: number;
  /** The address that the environment was given there. */
  readonly address?: string;
  /** Of the pipeline in which a status stands. */
  readonly pipeline?: number;
  /** Whether an earlier try may have made something is asked anew each time, so this is never kept. */
  readonly looked?: boolean;
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Below the repository: `/statuses/4f2a...`. */
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
  /** What is known when it was taken. @param answer the parsed body */
  learn(answer: unknown): Shown;
  /** Whether a refusal says that the host shows it already. @param what the host's words */
  isShown?(status: number, what: string): boolean;
}

/** The host took the notice as it is. */
export function told(notice: Notice, shown: Shown): Shown {
  return { ...shown, told: hashOfJson(notice) };
}

export function isTold(notice: Notice, shown: Shown): boolean {
  return shown.told === hashOfJson(notice);
}

/** Something that is over needs no telling where nothing was made for it. */
export function isOver({ state }: Notice): boolean {
  return state === 'cancelled' || state === 'replaced' || state === 'removed';
}
