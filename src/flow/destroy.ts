import { environmentById } from '../environment/environment-store.ts';
import type { ApplyContext } from '../deploy/driver.ts';
import { driverNamed } from './deploy-release.ts';
import { targetOf } from './desired.ts';
import type { House } from './house.ts';

/**
 * Takes down what runs in an environment, by every driver that may have something there: it may have had others before.
 * All are tried; the first failure is thrown.
 */
export async function destroyAll(
  house: House,
  environmentId: string,
  lane: Pick<ApplyContext, 'signal' | 'token'>,
): Promise<void> {
  const environment = await environmentById(house.store.db, environmentId);
  const target = await targetOf(house, environment);
  const log = (line: string): void => house.log.info({ environment: environment.name }, line);
  const outcomes = await Promise.allSettled(
    environment.drivers.map(async (name) => driverNamed(house, name).destroy(target, { log, ...lane })),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
