import { untilTrue } from '../../lib/until.ts';
import { redact } from '../../secret/redact.ts';
import { demultiplex } from '../../container/docker/log-lines.ts';
import { hasCode } from '../../lib/error.ts';
import { inspectService, removeService, revertService, taskLog } from './api.ts';
import { claim } from './claim.ts';
import { whileLed } from './leader.ts';
import { isAlive, look, operationOf } from './look.ts';
import { LABEL, serviceName } from './names.ts';
import { type Rollout, takeOut, upstreamsOf } from './rollout.ts';
import { isFirst, isMoving } from './verdict.ts';
import { targetKey } from '../rollout.ts';

const TRIES = 5;
const SETTLE_MS = 60_000;
const TAIL_LINES = 20;
const TOLD_TASKS = 3;

/**
 * After a rollout that failed or was called off: what it gave to Swarm is put back to what was before, and what was new is removed.
 * A newer hand is left alone. @returns false when it could not be done
 */
export async function putBack(rollout: Rollout): Promise<boolean> {
  const { engine, place, desired, context, clock } = rollout;
  const all = async (): Promise<void> => {
    await claim(engine, place, context.token);
    for (const { service } of desired.services) await putBackOne(rollout, service);
    // whoever calls a deployment off has the next one in hand: that replaces what still moves
    if (!context.signal.aborted) await settled(rollout);
  };
  try {
    await whileLed(all, clock, context);
    return true;
  } catch (error) {
    return hasCode(error, 'deploy.fenced');
  }
}

/** The last words of what did not come to run, without the secrets that it was given: mostly they tell why. */
export async function tellOutput(
  { engine, place, desired, context }: Rollout,
  values: ReadonlyMap<string, ReadonlyMap<string, string>>,
): Promise<void> {
  if (context.signal.aborted) return;
  const now = await look(engine, place);
  for (const seen of now.services) {
    const broken = seen.tasks
      .filter((task) => operationOf(task) === desired.operation && ['failed', 'complete'].includes(task.Status.State))
      .toSorted((one, other) => (one.CreatedAt < other.CreatedAt ? 1 : -1));
    for (const { ID } of broken.slice(0, TOLD_TASKS)) {
      const lines: string[] = [];
      const reader = demultiplex((line) => lines.push(line));
      reader.write(await taskLog(engine, ID, { tail: TAIL_LINES }));
      reader.end();
      const given = [...(values.get(seen.name)?.values() ?? [])];
      for (const line of redact(lines.join('\n'), given).split('\n'))
        if (line !== '') context.log(`${seen.name}: ${line}`);
    }
  }
}

async function putBackOne(rollout: Rollout, service: string): Promise<void> {
  const { engine, place, desired, context } = rollout;
  for (let tries = 0; tries < TRIES; tries++) {
    const there = await inspectService(engine, serviceName(place, service));
    if (there?.Spec.Labels[LABEL.operation] !== desired.operation) return; // Swarm has put it back already
    await claim(engine, place, context.token);
    if ((there.PreviousSpec ?? null) === null) {
      if (!isFirst(there)) return; // it was put back to this very operation
      await takeOut(rollout, service);
      await removeService(engine, there.ID);
      return;
    }
    if (await revertService(engine, there)) return;
  }
}

/** Until Swarm moves nothing more and nothing of ours is left; meanwhile addresses lead to what runs. */
async function settled(rollout: Rollout): Promise<void> {
  const { engine, place, desired, context, cutover } = rollout;
  const owner = targetKey(place.target);
  await untilTrue(
    async () => {
      const now = await look(engine, place);
      for (const route of await cutover.routes(owner)) {
        const seen = now.services.find(({ name }) => name === route.service);
        const upstreams = seen === undefined ? [] : upstreamsOf(seen, now);
        if (upstreams.length === 0 || JSON.stringify(upstreams) === JSON.stringify(route.upstreams)) continue;
        await cutover.route({ ...route, owner, upstreams, token: context.token });
      }
      return now.services.every(
        (seen) =>
          !isMoving(seen) && seen.tasks.every((task) => operationOf(task) !== desired.operation || !isAlive(task, now)),
      );
    },
    { everyMs: 150, timeoutMs: SETTLE_MS, signal: context.signal },
  );
}
