import { destroyAll } from './destroy.ts';
import type { House } from './house.ts';

/** Higher than any lane ever gives: whoever still works on a target is fenced off. */
const LAST_TOKEN = 2n ** 62n;

/**
 * Takes down what runs in every environment; rows and images stay. For installations that end, such as a demonstration.
 * The engine has stopped, so that nothing is brought back meanwhile. All are tried; the first failure is thrown at the end.
 */
export async function takeDown(house: House): Promise<void> {
  const rows = await house.store.db.selectFrom('environment').select('id').where('removed_at', 'is', null).execute();
  const signal = new AbortController().signal;
  const outcomes = await Promise.allSettled(rows.map(({ id }) => destroyAll(house, id, { signal, token: LAST_TOKEN })));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
