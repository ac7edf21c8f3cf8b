import { sql } from 'kysely';

import { receiveWebhook } from '../../source/webhook.ts';
import type { Sql } from '../../store/database.ts';
import { followEvents, lastEventId } from '../../store/event-store.ts';
import { followLog, type LogPart, readLog } from '../../store/log-store.ts';
import type { House } from '../house.ts';
import type { EventView, LogBatch, UseCases } from '../use-cases.ts';
import { auditCases } from './audit.ts';
import { baseCases } from './bases.ts';
import { diff } from './diff.ts';
import { environmentCases } from './environments.ts';
import { lineage } from './lineage.ts';
import { matrix } from './matrix.ts';
import { outputCases } from './output.ts';
import { projectCases } from './projects.ts';
import { promotionCases } from './promotions.ts';
import { registryCases } from './registry.ts';
import { reportCases } from './reports.ts';
import { releaseCases } from './releases.ts';
import { why } from './why.ts';

/** The use cases on the real parts. */
export function createUseCases(house: House): UseCases {
  const { store } = house;
  return {
    projects: projectCases(house),
    matrix: (project) => matrix(house, project),
    releases: releaseCases(house),
    reports: reportCases(house),
    bases: baseCases(house),
    registry: registryCases(house),
    promotions: promotionCases(house),
    environments: environmentCases(house),
    why: (project, subject) => why(house, project, subject),
    diff: (project, from, to) => diff(house, project, from, to),
    lineage: (project, subject) => lineage(house, project, subject),
    logs: {
      async read(logId, afterSeq) {
        const batch = batchOf(await readLog(store.db, logId, placeOf(afterSeq)));
        return batch.lines.length > 0 || batch.ended ? batch : { ...batch, ended: await isGone(store.db, logId) };
      },
      async *follow(logId, afterSeq, signal) {
        if (await isGone(store.db, logId)) yield { lines: [], seq: afterSeq ?? '0', ended: true };
        else for await (const part of followLog(store, logId, placeOf(afterSeq), signal)) yield batchOf(part);
      },
    },
    output: outputCases(house),
    events: { follow: (afterId, signal) => follow(house, afterId, signal) },
    audit: auditCases(house),
    webhook: (repositoryId, headers, body) =>
      receiveWebhook({ repositoryId, headers, body }, { store, now: house.clock.now(), secretOf: house.secretOf }),
  };
}

/** Without a place to begin at, only what is still to come is told. */
async function* follow({ store }: House, afterId: string | undefined, signal: AbortSignal): AsyncGenerator<EventView> {
  const from = afterId === undefined ? await lastEventId(store.db) : placeOf(afterId);
  const projects = new Map<string, string>();
  for await (const { id, at, projectId, kind, subject, data } of followEvents(store, from, signal)) {
    if (projectId !== null && !projects.has(projectId)) {
      const row = await store.db.selectFrom('project').select('name').where('id', '=', projectId).executeTakeFirst();
      projects.set(projectId, row?.name ?? projectId);
    }
    yield {
      id: String(id),
      at: at.toISOString(),
      project: projectId === null ? null : (projects.get(projectId) ?? null),
      kind,
      subject,
      data,
    };
  }
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

/** A place that a reader gives back; one that makes no sense is the beginning. */
function placeOf(text: string | undefined): number {
  const place = Number(text ?? '0');
  return Number.isSafeInteger(place) && place >= 0 ? place : 0;
}
