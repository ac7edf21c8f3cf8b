// A worker of its own for the chaos tests, to be killed and stopped at any moment. It ends with its standard input.
import { setTimeout as wait } from 'node:timers/promises';

import { enterLane, inLane, leaveLane } from '../../../environment/lane-store.ts';
import { hasCode } from '../../../lib/error.ts';
import { openStore } from '../../../store/database.ts';
import type { Sql } from '../../../store/database.ts';
import { recordEvent } from '../../../store/event-store.ts';
import { durable } from '../durable.ts';
import { createEngine } from '../engine.ts';
import { step, transaction } from '../step.ts';

interface Request {
  readonly id: string;
  readonly environment: string;
}

const LANE_TTL_MS = 5_000; // whoever goes on after a kill has the same name, and does not wait for it
const UNTIL_THE_LANE_IS_FREE = {
  attempts: 400,
  firstMs: 50,
  factor: 1,
  when: (error: unknown) => hasCode(error, 'lane.taken'),
};

const [url = '', executorId = ''] = process.argv.slice(2);
const store = await openStore(url);

const tell = (db: Sql, kind: string, subject: string, data = {}): Promise<void> =>
  recordEvent(db, { kind, subject, data: { worker: executorId, ...data } });

/** Takes the lane of an environment, works in it, and leaves it: each row of `transaction` once, each step at least once. */
const roll = durable('roll', async ({ id, environment }: Request) => {
  await transaction('begin', (tx) => tell(tx, 'begun', id));
  await step('plan', () => tell(store.db, 'planned', id));
  await step(
    'deploy',
    async ({ signal }) =>
      inLane({ store, environmentId: environment, holder: id, signal, ttlMs: LANE_TTL_MS }, async (_, token) => {
        await tell(store.db, 'entered', id, { environment, token: Number(token) });
        await wait(300); // for the test to see it and kill this worker
        await tell(store.db, 'leaves', id, { environment, token: Number(token) });
      }),
    { retry: UNTIL_THE_LANE_IS_FREE },
  );
  await step('leave', () => leaveLane(store.db, environment, id));
  return transaction('end', async (tx) => {
    await tell(tx, 'ended', id);
    return id;
  });
});

/** Holds its step until the test says `go`: to be stopped in the midst of it. */
const hold = durable('hold', async ({ id, environment }: Request) => {
  await step('stay', async () => {
    await enterLane(store.db, environment, id, LANE_TTL_MS);
    await tell(store.db, 'entered', id);
    while ((await store.db.selectFrom('event').select('id').where('kind', '=', 'go').execute()).length === 0)
      await wait(20);
    await tell(store.db, 'left', id);
  });
  return transaction('end', (tx) => tell(tx, 'ended', id));
});

const engine = await createEngine({ store, executorId });
await engine.start({
  workflows: [roll, hold],
  queues: { default: { perWorker: 4 } },
  beatMs: 200,
  leaseMs: 1_500,
});
process.stdout.write('ready\n');
process.stdin.resume();
process.stdin.on('end', () => {
  void engine.stop({ drainMs: 2_000 }).then(() => process.exit(0));
});
