import type { Sql } from '../store/database.ts';

/**
 * Takes back the ports of services that were never live there: nobody knows these addresses, so they may be others. For
 * the moment when another program opened one of them first.
 */
export async function forgetUnusedEndpoints(db: Sql, environmentId: string): Promise<void> {
  await db
    .deleteFrom('endpoint')
    .where('environment_id', '=', environmentId)
    .where('service', 'not in', (query) =>
      query.selectFrom('deployment').select('service').where('environment_id', '=', environmentId),
    )
    .execute();
}
