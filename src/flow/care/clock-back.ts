import { sql } from 'kysely';

import { LANE_TTL_MS } from '../../environment/lane-store.ts';
import { WAKE_CHANNEL } from '../../source/poll-store.ts';
import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';

/** Clocks of servers that are kept by NTP differ by less; no lease is as long. */
const AHEAD_MS = 60_000;
/** No work is asked for later than in a minute. */
const LONGEST_DELAY_MS = 2 * AHEAD_MS;
const BATCH = 100;

/**
 * A clock that was ahead and was set right has left instants behind that are too far away: a repository would not be polled,
 * and whoever waits for a second would wait, for as long as the clock was ahead. Compares what is written with what could
 * have been; nothing else has to notice the moment of the jump. What people gave a time (a soak, a freeze window, an
 * expiry) is left as it is.
 */
export async function setRight({ store, starts }: Place): Promise<void> {
  const { db } = store;
  await leases(db);
  await polls(db);
  await notices(db);
  await statements(db);
  await delays(db);
  const { rows } = await sql<{ id: string }>`select id from promotion
    where ended_at is null and state = 'waiting' and changed_at > ${ahead()} order by wake_at, id limit ${BATCH}`.execute(
    db,
  );
  for (const { id } of rows) await store.transaction((tx) => starts.promote(tx, id));
}

type Place = Pick<House, 'store'> & { readonly starts: Pick<House['starts'], 'promote'> };

/** Whoever lives says so again within seconds; whoever died lapses as late as if the clock had always been right. */
async function leases(db: Sql): Promise<void> {
  await sql`update lane set until = clock_timestamp() + ${LANE_TTL_MS} * interval '1 ms' where until > ${ahead()}`.execute(
    db,
  );
  await sql`update repository set lease_until = null where lease_until > ${ahead()}`.execute(db);
}

async function polls(db: Sql): Promise<void> {
  await sql`with woken as (
      update repository set next_poll_at = least(next_poll_at, clock_timestamp()), woken_at = null,
        polled_at = least(polled_at, clock_timestamp())
      where greatest(polled_at, woken_at) > ${ahead()} returning id)
    select pg_notify(${WAKE_CHANNEL}, id) from woken`.execute(db);
}

async function notices(db: Sql): Promise<void> {
  await sql`with early as (
      update notice set wanted_at = clock_timestamp(), due_at = least(due_at, clock_timestamp())
      where wanted_at > ${ahead()} returning repository_id)
    update repository set notices_at = null where id in (select repository_id from early)`.execute(db);
}

/** Nobody waits for a registry longer than minutes. */
async function statements(db: Sql): Promise<void> {
  await sql`update attested_image set due_at = clock_timestamp()
    where due_at > clock_timestamp() + ${10 * AHEAD_MS} * interval '1 ms'`.execute(db);
}

async function delays(db: Sql): Promise<void> {
  await sql`update dbos.workflow_status set delay_until_epoch_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint
    where status = 'DELAYED' and delay_until_epoch_ms > extract(epoch from clock_timestamp()) * 1000 + ${LONGEST_DELAY_MS}`.execute(
    db,
  );
}

function ahead() {
  return sql`clock_timestamp() + ${AHEAD_MS} * interval '1 ms'`;
}
