import { setTimeout as wait } from 'node:timers/promises';

import { requireAnswer } from '../../store/database.ts';
import type { Store } from '../../store/database.ts';

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
/** Then what is in work fails as it would have at once. */
const PATIENCE_MS = 3_600_000;

let place: Pick<Store, 'pool'> | undefined;

/** The database of this process's worker. */
export function watchOutagesOf(store: Pick<Store, 'pool'>): void {
  place = store;
}

/**
 * Waits for as long as the database answers nobody: no try of a step counts while it is away, so what is in work ends the
 * same whether Postgres was away for a second or for half an hour.
 */
export async function outageOver(signal?: AbortSignal): Promise<void> {
  if (place === undefined) return;
  const began = performance.now();
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      await requireAnswer(place);
      return;
    } catch {
      if (signal?.aborted === true || performance.now() - began > PATIENCE_MS) return;
    }
    await wait(waitMs, undefined, { ref: false });
  }
}
