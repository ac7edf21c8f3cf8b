import { sql } from 'kysely';

import type { Sql } from '../../store/database.ts';
import { followLog, type LogPart, readLog } from '../../store/log-store.ts';
import type { House } from '../house.ts';
import type { LogBatch, UseCases } from '../use-cases.ts';

export function logCases({ store }: House): UseCases['logs'] {
  return {
    async projectsOf(logId) {
      const { rows } = await sql<{ name: string }>`
        select name from project where id in (
          select project_id from artifact where log_id = ${logId}
          union select release.project_id from artifact
            join release_service on artifact_key = artifact.key join release on release.id = release_id
            where artifact.log_id = ${logId}
          union select project_id from promotion where log_id = ${logId}
          union select project_id from evidence where log_id = ${logId})`.execute(store.db);
      return rows.map(({ name }) => name);
    },
    async read(logId, afterSeq) {
      const batch = batchOf(await readLog(store.db, logId, placeOf(afterSeq)));
      return batch.lines.length > 0 || batch.ended ? batch : { ...batch, ended: await isGone(store.db, logId) };
    },
    async *follow(logId, afterSeq, signal) {
      if (await isGone(store.db, logId)) yield { lines: [], seq: afterSeq ?? '0', ended: true };
      else for await (const part of followLog(store, logId, placeOf(afterSeq), signal)) yield batchOf(part);
    },
  };
}

/** A place that a reader gives back; one that makes no sense is the beginning. */
export function placeOf(text: string | undefined): number {
  const place = Number(text ?? '0');
  return Number.isSafeInteger(place) && place >= 0 ? place : 0;
}

/** Nothing is there of a log, and nothing will come: whose log it is has ended, and it is no longer kept. */
async function isGone(db: Sql, logId: string): Promise<boolean> {
  const { rows } = await sql<{ gone: boolean }>`
    select not exists (select from log_chunk where log_id = ${logId})
      and (exists (select from artifact where log_id = ${logId} and state <> 'building')
        or exists (select from promotion where log_id = ${logId} and ended_at is not null)
        or exists (select from evidence where log_id = ${logId})) as gone`.execute(db);
  return rows[0]?.gone === true;
}

function batchOf({ lines, seq, ended }: LogPart): LogBatch {
  return { lines, seq: String(seq), ended };
}
