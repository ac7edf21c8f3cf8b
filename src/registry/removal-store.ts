import { sql } from 'kysely';

import type { Store, Tx } from '../store/database.ts';

/**
 * An image of somebody else's registry, or a name in any, is removed after a last look, while builds begin and promotions give
 * names. Who wants images says so in a committed row, and then waits until no removal is under way in their repositories; who removes looks
 * for such rows once none can be missed. So of the two one sees the other, whoever is first, and a kill leaves no lock.
 */
const REMOVAL = 7_080_722;

/** Nobody else removes in the repository, or goes on who wants something there, until the end of the transaction. */
export async function beginRemoval(tx: Tx, repository: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${repository}, ${REMOVAL}))`.execute(tx);
}

/** For whoever has said what he wants, before he looks what is there. */
export async function awaitRemovals(
  { transaction }: Pick<Store, 'transaction'>,
  repositories: readonly string[],
): Promise<void> {
  if (repositories.length === 0) return;
  await transaction((tx) =>
    sql`
      select pg_advisory_xact_lock_shared(hashtextextended(repository, ${REMOVAL}))
      from unnest(${[...new Set(repositories)]}::text[]) repository`.execute(tx),
  );
}
