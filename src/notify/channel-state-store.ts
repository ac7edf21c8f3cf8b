import { sql } from 'kysely';

import type { Problem } from '../lib/error.ts';
import type { Sql } from '../store/database.ts';

/** How telling by a channel goes. */
export interface ChannelState {
  readonly toldAt: Date | null;
  readonly nextAt: Date | null;
  readonly problem: Problem | null;
  readonly waiting: number;
  readonly givenUp: number;
}

/** By name; a channel that was never wanted for anything has none. */
export async function channelStates(db: Sql, projectId: string): Promise<Map<string, ChannelState>> {
  const { rows } = await sql<{
    name: string;
    told_at: Date | null;
    next_at: Date | null;
    problem: unknown;
    waiting: number;
    given_up: number;
  }>`
    select name, notify_channel.told_at, next_at, notify_channel.problem,
      count(delivery) filter (where delivery.due_at is not null)::int as waiting,
      count(delivery) filter (where delivery.given_up_at is not null and delivery.problem is not null)::int as given_up
    from notify_channel left join delivery on delivery.project_id = notify_channel.project_id and channel = name
    where notify_channel.project_id = ${projectId}
    group by notify_channel.project_id, name`.execute(db);
  return new Map(
    rows.map((row) => [
      row.name,
      {
        toldAt: row.told_at,
        nextAt: row.next_at,
        problem: row.problem as Problem | null, // written by `pauseChannel` alone
        waiting: row.waiting,
        givenUp: row.given_up,
      },
    ]),
  );
}
