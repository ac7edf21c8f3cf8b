import { sql } from 'kysely';

import type { Sql } from '../store/database.ts';
import { forgetOperations, wasDone } from '../store/once.ts';
import { type AnswerKeeper, type Claim, operationOf } from './idempotency.ts';

/** A question that is not answered within this time was asked of a server that is gone. */
const ANSWERING_MS = 2 * 60_000;
const KEPT_MS = 24 * 3_600_000;

/** Kept answers in Postgres: the second try may reach another server. Times are the database's. */
export function storedAnswers(db: Sql, { answeringMs = ANSWERING_MS, keptMs = KEPT_MS } = {}): AnswerKeeper {
  return {
    claim: async (key, question) => {
      await sql`delete from kept_answer where until < clock_timestamp()`.execute(db);
      await forgetOperations(db, keptMs);
      const claimed = await sql`
        insert into kept_answer (key, question, until)
        values (${key}, ${question}, clock_timestamp() + ${answeringMs} * interval '1 ms')
        on conflict (key) do nothing`.execute(db);
      return claimed.numAffectedRows === 1n ? { kind: 'new' } : claimOf(db, key, question);
    },
    keep: async (key, { status, body }) => {
      await sql`
        update kept_answer
        set status = ${status}, body = ${body}, until = clock_timestamp() + ${keptMs} * interval '1 ms'
        where key = ${key}`.execute(db);
    },
    drop: async (key) => {
      await db.deleteFrom('kept_answer').where('key', '=', key).execute();
    },
  };
}

async function claimOf(db: Sql, key: string, question: string): Promise<Claim> {
  const row = await db.selectFrom('kept_answer').selectAll().where('key', '=', key).executeTakeFirst();
  // Gone between the two statements: it was dropped, and whoever asks again in a moment may try.
  if (row === undefined) return { kind: 'running' };
  if (row.question !== question) return { kind: 'other-question' };
  // What it asks for is done, and whoever did it may be gone: to ask again tells what it made, and does nothing.
  if (row.status === null || row.body === null)
    return (await wasDone(db, operationOf(key, question))) ? { kind: 'new' } : { kind: 'running' };
  return { kind: 'done', answer: { status: row.status, body: row.body } };
}
