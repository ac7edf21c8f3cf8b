import { environmentById, environmentsOf } from '../environment/environment-store.ts';
import { environmentOf } from '../environment/place.ts';
import { openPromotions } from '../path/promotion-list-store.ts';
import { isUndecided } from '../path/promotion.ts';
import type { Sql, Tx } from '../store/database.ts';
import { definitionOf } from './gather.ts';
import type { House } from './house.ts';

interface Awakener {
  readonly starts: Pick<House['starts'], 'promote'>;
}

/**
 * Everything that waits in an environment looks again: something there has changed. A look that is under way counts no
 * more: the newest one decides.
 */
export async function wake(house: Awakener, tx: Tx, environmentId: string): Promise<void> {
  await wakeIn(house, tx, [environmentId]);
}

/**
 * What runs in an environment has changed: whoever waits to come from there looks again, and its soak begins to count; and so does
 * whoever waits to run beside it.
 */
export async function wakeFollowers(house: Awakener, tx: Tx, environmentId: string): Promise<void> {
  await wakeIn(house, tx, await followersOf(tx, environmentId));
}

/** Everything that waits in a project looks again: its path, or what is barred, has changed. */
export async function wakeProject(house: Awakener, tx: Tx, projectId: string): Promise<void> {
  const environments = await environmentsOf(tx, projectId);
  await wakeIn(
    house,
    tx,
    environments.map(({ id }) => id),
  );
}

async function wakeIn(house: Awakener, tx: Tx, environmentIds: readonly string[]): Promise<void> {
  if (environmentIds.length === 0) return;
  const undecided = (await openPromotions(tx, environmentIds)).filter(({ state }) => isUndecided(state));
  // in the order of their ids, in which everybody locks several; so the newest decides last
  for (const id of undecided.map((promotion) => promotion.id).toSorted()) await house.starts.promote(tx, id);
}

async function followersOf(db: Sql, environmentId: string): Promise<string[]> {
  const { projectId, name } = await environmentById(db, environmentId);
  return (await environmentsOf(db, projectId))
    .filter((environment) => {
      const { from, gates } = definitionOf(environment);
      const isBeside = environment.name !== name && environmentOf(environment.name) === environmentOf(name);
      return from.includes(name) || (isBeside && gates.some(({ kind }) => kind === 'can-i-deploy'));
    })
    .map(({ id }) => id);
}
