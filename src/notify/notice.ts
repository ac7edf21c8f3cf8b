import { TowpathError } from '../lib/error.ts';

export class NotifyError extends TowpathError {}

/** What a git host is told of a commit. Plain JSON: it rests in the outbox until the host shows it. */
export type Notice = BuildNotice | DeploymentNotice;

interface AnyNotice {
  readonly commit: string;
  /** A branch or tag that means the commit, by its full name. */
  readonly ref: string;
  readonly description: string;
  /** Of Towpath's page. */
  readonly url: string;
}

/** Whether the commit has its artifacts. */
export interface BuildNotice extends AnyNotice {
  readonly about: 'build';
  readonly state: 'pending' | 'success' | 'failure';
}

/** One promotion of the commit into an environment. */
export interface DeploymentNotice extends AnyNotice {
  readonly about: 'deployment';
  readonly promotion: string;
  readonly environment: string;
  /** It is there for a branch, and goes with it. */
  readonly preview: boolean;
  /** `replaced`: another release runs there now; `removed`: nothing does. */
  readonly state: 'pending' | 'success' | 'failure' | 'cancelled' | 'replaced' | 'removed';
  /** Where it can be opened. */
  readonly environmentUrl: string | null;
}

/** The name under which a host shows the notice; it never changes, for rules of branches name it. */
export function contextOf(notice: Notice): string {
  return notice.about === 'build' ? 'towpath/build' : `towpath/${notice.environment}`;
}

/**
 * Under which a notice stands in the outbox: a newer one with the same key takes its place. A host that knows no
 * deployments shows one status per commit and environment, whichever promotion it comes from.
 */
export function keyOf(notice: Notice, { deployments }: { readonly deployments: boolean }): string {
  if (notice.about === 'build') return `build:${notice.commit}`;
  return deployments ? promotionKey(notice.promotion) : `status:${notice.commit}:${notice.environment}`;
}

export function promotionKey(promotion: string): string {
  return `promotion:${promotion}`;
}
