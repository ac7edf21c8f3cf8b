import type { Sql } from '../store/database.ts';
import { EnvironmentError } from './environment-store.ts';

/**
 * Stable ports for the services of an environment: given once, kept as long as it lives. The lowest is taken that no
 * other environment has and that nobody else on this machine listens on (another installation, say).
 */
export async function endpointsFor(
  db: Sql,
  environmentId: string,
  services: readonly string[],
  { firstPort, isFree }: { readonly firstPort: number; readonly isFree: (port: number) => Promise<boolean> },
): Promise<Record<string, number>> {
  const portsNow = async (): Promise<Record<string, number>> => {
    const rows = await db
      .selectFrom('endpoint')
      .select(['service', 'port'])
      .where('environment_id', '=', environmentId)
      .execute();
    return Object.fromEntries(rows.map(({ service, port }) => [service, port]));
  };
  const given = await portsNow();
  let candidate = firstPort;
  for (const service of services.filter((name) => given[name] === undefined)) {
    for (; candidate < firstPort + PORTS; candidate++) {
      if (!(await isFree(candidate))) continue;
      const taken = await db
        .insertInto('endpoint')
        .values({ environment_id: environmentId, service, port: candidate })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst();
      if (taken.numInsertedOrUpdatedRows === 1n) break;
    }
  }
  const ports = await portsNow();
  const without = services.find((service) => ports[service] === undefined);
  if (without === undefined) return ports;
  throw new EnvironmentError({
    code: 'environment.no-port',
    what: `No port from ${firstPort} to ${firstPort + PORTS - 1} is free for "${without}".`,
    fix: 'Remove previews that are no longer needed, or start the server with another TOWPATH_FIRST_PORT.',
  });
}

const PORTS = 900;

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
