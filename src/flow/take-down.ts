import { takeLane } from '../environment/lane-store.ts';
import { destroyAll } from './destroy.ts';
import type { House } from './house.ts';

/**
 * Takes down what runs in every environment; rows and images stay. For installations that end, such as a demonstration.
 * The engine has stopped, so that nothing is brought back meanwhile, and lanes may be taken from whoever held them. Killed
 * half way it bars nobody: whoever enters a lane later has a higher token. All are tried; the first failure is thrown at the end.
 */
export async function takeDown(house: House): Promise<void> {
  const { db } = house.store;
  const rows = await db.selectFrom('environment').select('id').where('removed_at', 'is', null).execute();
  const signal = new AbortController().signal;
  const outcomes = await Promise.allSettled(
    rows.map(async ({ id }) => destroyAll(house, id, { signal, token: await takeLane(db, id, 'take-down') })),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
