import { sql } from 'kysely';

import { TowpathError } from '../../lib/error.ts';
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
      if (batch.lines.length > 0 || batch.ended) return batch;
      const state = await stateOf(store.db, logId);
      if (state === 'unknown') throw unknown(logId);
      return { ...batch, ended: state === 'gone' };
    },
    async *follow(logId, afterSeq, signal) {
      if ((await stateOf(store.db, logId)) === 'gone') yield { lines: [], seq: afterSeq ?? '0', ended: true };
      else for await (const part of followLog(store, logId, placeOf(afterSeq), signal)) yield batchOf(part);
    },
  };
}

/** A place that a reader gives back; one that makes no sense is the beginning. */
export function placeOf(text: string | undefined): number {
  const place = Number(text ?? '0');
  return Number.isSafeInteger(place) && place >= 0 ? place : 0;
}

/** A log is gone when nothing is there of it and nothing will come: whose log it is has ended, and it is no longer kept. */
async function stateOf(db: Sql, logId: string): Promise<'kept' | 'gone' | 'unknown'> {
  const { rows } = await sql<{ written: boolean; ended: boolean | null }>`
    select exists (select from log_chunk where log_id = ${logId}) as written, bool_or(ended) as ended from (
      select state <> 'building' as ended from artifact where log_id = ${logId}
      union all select ended_at is not null from promotion where log_id = ${logId}
      union all select true from evidence where log_id = ${logId}) whose`.execute(db);
  const { written = false, ended = null } = rows[0] ?? {};
  if (written) return 'kept';
  if (ended === null) return 'unknown';
  return ended ? 'gone' : 'kept';
}

function unknown(logId: string): TowpathError {
  return new TowpathError({
    code: 'log.unknown',
    what: `There is no log "${logId}".`,
    fix: 'Ask with `towpath logs`, which finds the log of a commit, a check or an environment.',
  });
}

function batchOf({ lines, seq, ended }: LogPart): LogBatch {
  return { lines, seq: String(seq), ended };
}
