import { withSetting } from '../../store/url.ts';

/** Scopes our workflows and queues in the engine's tables. */
export const APPLICATION = 'towpath';

/**
 * Work begun under one version is finished only by workers of that version. Raise it when the steps of a workflow change in
 * a way that a run begun before cannot follow, and let the old workers drain: what they leave is reported as stranded.
 */
export const ENGINE_VERSION = '1';

/**
 * The engine's own connections. It would set this timeout by a query on each new connection, which overlaps with the first
 * query of whoever borrowed it (a use that `pg` deprecates), unless the URL says it already.
 */
export function engineUrl(url: string): string {
  return withSetting(url, 'idle_in_transaction_session_timeout=60000');
}
