import type { WantedCheck } from '../path/policy.ts';
import type { Tx } from '../store/database.ts';

/** Starts of workflows, each within the transaction that gives it its cause: both are stored, or neither. */
export interface Starts {
  /** @param again as for a removal, below */
  ingest(tx: Tx, eventId: string, again?: number): Promise<void>;
  build(tx: Tx, key: string, attempt: number, delayMs?: number): Promise<void>;
  /** Looks at a report of another CI (again). Does nothing when it has ended. */
  report(tx: Tx, reportId: string): Promise<void>;
  /** @param again how often it was tried before: the next try is made a while later */
  route(tx: Tx, releaseId: string, ref: string, again?: number): Promise<void>;
  /** Looks at a promotion (again). Does nothing when it has ended. */
  promote(tx: Tx, promotionId: string): Promise<void>;
  /** Does nothing while it is being asked. @param environmentId where it is wanted: contracts are those of what runs there */
  check(tx: Tx, releaseId: string, wanted: WantedCheck, environmentId?: string): Promise<void>;
  /** Asks a check whatever it answered before. @param test who asks: once for each */
  test(tx: Tx, releaseId: string, check: string, test: string): Promise<void>;
  /** Empties what is to be empty. @param again tells a new try from the first, which is asked for any number of times and runs once */
  remove(tx: Tx, environmentId: string, again?: number): Promise<void>;
  /** Asks running work of a promotion to stop. */
  cancelPromotion(promotionId: string, run: number): Promise<void>;
}
