import { Error as EngineErrors } from '@dbos-inc/dbos-sdk';

/** True for what a workflow's next step throws after the workflow was cancelled. */
export function isCancelled(error: unknown): boolean {
  return error instanceof EngineErrors.DBOSWorkflowCancelledError;
}
