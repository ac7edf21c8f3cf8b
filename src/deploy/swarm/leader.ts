import { setTimeout as wait } from 'node:timers/promises';

import type { Clock } from '../../lib/clock.ts';
import type { ApplyContext } from '../driver.ts';
import { noLeader } from './swarm-error.ts';

const LOOK_MS = 500;
/** Another leader is there within half a minute, where there can be one; a manager may need longer to come back. */
const PATIENCE_MS = 120_000;

/**
 * Does what may be done twice, again while the managers have no leader: they choose another when theirs is gone, and cannot while half of
 * them or more are away. Until then they answer nothing.
 * @throws DeployError `swarm.no-leader` when it takes too long
 */
export async function whileLed<T>(
  ask: () => Promise<T>,
  clock: Clock,
  { log, signal }: Pick<ApplyContext, 'log' | 'signal'>,
): Promise<T> {
  for (let since: number | null = null; ;) {
    try {
      return await ask();
    } catch (error) {
      if (!isLeaderless(error)) throw error;
      if (since === null) log('the managers of the Swarm have no leader; it waits until they have');
      since ??= clock.elapsed();
      if (clock.elapsed() - since >= PATIENCE_MS) throw noLeader();
    }
    await wait(LOOK_MS, undefined, { signal });
  }
}

/** @throws DeployError `swarm.no-leader` */
export async function ledNow<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw isLeaderless(error) ? noLeader() : error;
  }
}

/** For who looks again anyway, and counts the time by itself. */
export function unlessLeaderless(error: unknown): null {
  if (isLeaderless(error)) return null;
  throw error;
}

/** What managers say without a leader, or while they choose one: nothing but their words tells. */
function isLeaderless(error: unknown): boolean {
  return /does not have a leader|no elected (cluster )?leader|losing leader|deadline exceeded|Unavailable/i.test(
    String(error),
  );
}
