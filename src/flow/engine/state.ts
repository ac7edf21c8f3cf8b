import type { WorkflowStatus } from '@dbos-inc/dbos-sdk';

import { isDiskFull } from '../../lib/disk-full.ts';
import { problemOf } from '../../lib/error.ts';
import type { Problem } from '../../lib/error.ts';
import { isTransient, STORE_AWAY } from '../../store/database.ts';

/** Where a workflow is. Rows of the domain say what that means; this is for reconciling and for tests. */
export type WorkflowState =
  | { readonly kind: 'missing' }
  | { readonly kind: 'queued' }
  | { readonly kind: 'running'; readonly executorId: string }
  | { readonly kind: 'done'; readonly output: unknown }
  | { readonly kind: 'failed'; readonly problem: Problem }
  | { readonly kind: 'cancelled' };

export function stateOf(status: WorkflowStatus | null): WorkflowState {
  switch (status?.status) {
    case undefined:
      return { kind: 'missing' };
    case 'ENQUEUED':
    case 'DELAYED':
      return { kind: 'queued' };
    case 'PENDING':
      return { kind: 'running', executorId: status?.executorId ?? '' };
    case 'SUCCESS':
      return { kind: 'done', output: status?.output };
    case 'CANCELLED':
      return { kind: 'cancelled' };
    case 'MAX_RECOVERY_ATTEMPTS_EXCEEDED':
      return {
        kind: 'failed',
        problem: {
          code: 'engine.gave-up',
          what: 'The worker ended each time it ran this work.',
          fix: 'Look at the server log of those moments for what ended it (memory, a crash), then ask for the work again.',
        },
      };
    default:
      return { kind: 'failed', problem: problemOfLast(status?.error) };
  }
}

/** A driver's error has lost its class in the row, and kept its code. */
function problemOfLast(error: unknown): Problem {
  return isTransient(error) && !isDiskFull(error) ? STORE_AWAY : problemOf(error);
}

export function hasEnded(state: WorkflowState): boolean {
  return state.kind === 'done' || state.kind === 'failed' || state.kind === 'cancelled';
}
