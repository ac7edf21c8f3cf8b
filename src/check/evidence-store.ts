import { sql, type Selectable } from 'kysely';
import { z } from 'zod';

import { type Digest, isDigest } from '../lib/digest.ts';
import { json, type Sql } from '../store/database.ts';
import type { EvidenceTable } from '../store/tables.ts';
import { wordOf } from './check-type.ts';
import type { Evidence, RecordedEvidence } from './evidence.ts';
import { recordKept } from './kept-store.ts';
import type { CheckAnswer, Performance } from './kind.ts';
import { MEASURES } from './report/measures.ts';
import { LEVELS } from './report/sarif.ts';

/** Keeps an answer for good. The same id again changes nothing: the first answer stays. */
export async function recordEvidence(db: Sql, evidence: Evidence): Promise<void> {
  const { verdict, ...result } = evidence.answer;
  const { numInsertedOrUpdatedRows: added = 0n } = await db
    .insertInto('evidence')
    .values({
      id: evidence.id,
      project_id: evidence.projectId,
      question: evidence.question,
      check_name: evidence.check,
      check_type: evidence.type ?? null,
      service: evidence.service,
      release_id: evidence.releaseId,
      environment_id: evidence.environmentId,
      digests: json(evidence.digests),
      verdict,
      result: json(result),
      log_id: evidence.logId,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirstOrThrow();
  if (added > 0n && result.kept !== undefined) await recordKept(db, evidence.id, result.kept);
}

export async function evidenceById(db: Sql, id: string): Promise<RecordedEvidence | null> {
  const row = await db.selectFrom('evidence').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? null : evidenceOf(row);
}

export async function evidenceByIds(db: Sql, ids: readonly string[]): Promise<ReadonlyMap<string, RecordedEvidence>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom('evidence')
    .selectAll()
    .where('id', 'in', [...new Set(ids)])
    .execute();
  return new Map(rows.map((row) => [row.id, evidenceOf(row)]));
}

/** @returns question -> its latest answer; a question that was never answered is not in it. One look-up for each, however often it was asked. @param at as it was at that instant; else now */
export async function latestAnswers(
  db: Sql,
  questions: readonly string[],
  at?: Date,
): Promise<ReadonlyMap<string, RecordedEvidence>> {
  if (questions.length === 0) return new Map();
  const rows = await db
    .selectFrom(sql<{ question: string }>`unnest(${[...new Set(questions)]}::text[])`.as<'asked'>(sql`asked(question)`))
    .innerJoinLateral(
      (from) =>
        from
          .selectFrom('evidence')
          .selectAll('evidence')
          .whereRef('evidence.question', '=', 'asked.question')
          .$if(at !== undefined, (query) => query.where('evidence.at', '<=', at ?? new Date()))
          .orderBy('evidence.at', 'desc')
          .orderBy('evidence.id', 'desc')
          .limit(1)
          .as('latest'),
      (join) => join.onTrue(),
    )
    .selectAll('latest')
    .execute();
  return new Map(rows.map((row) => [row.question, evidenceOf(row)]));
}

/** The latest answer of each check and service that was asked for this release, in each environment. */
export async function evidenceOfRelease(db: Sql, releaseId: string): Promise<readonly RecordedEvidence[]> {
  const rows = await db
    .selectFrom('evidence')
    .selectAll()
    .distinctOn(['check_name', 'service', 'environment_id'])
    .where('release_id', '=', releaseId)
    .orderBy('check_name')
    .orderBy('service')
    .orderBy('environment_id')
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .execute();
  return rows.map(evidenceOf);
}

/** Everything that was ever asked of this digest of a service, newest first. */
export async function evidenceOfDigest(
  db: Sql,
  projectId: string,
  service: string,
  digest: Digest,
): Promise<readonly RecordedEvidence[]> {
  const rows = await db
    .selectFrom('evidence')
    .selectAll()
    .where('project_id', '=', projectId)
    .where(sql<boolean>`digests @> ${json({ [service]: digest })}::jsonb`)
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .execute();
  return rows.map(evidenceOf);
}

/** What the same load measured last of this digest of a service where the check passed, there or nowhere in particular. */
export async function lastMeasured(
  db: Sql,
  of: {
    readonly projectId: string;
    readonly check: string;
    readonly service: string;
    readonly digest: Digest;
    readonly environmentId: string | null;
    readonly load: string;
  },
): Promise<Performance | null> {
  const row = await db
    .selectFrom('evidence')
    .selectAll()
    .where('project_id', '=', of.projectId)
    .where('check_name', '=', of.check)
    .where('service', '=', of.service)
    .where('verdict', '=', 'passed')
    .where('environment_id', 'is not distinct from', of.environmentId)
    .where(sql<boolean>`digests @> ${json({ [of.service]: of.digest })}::jsonb`)
    .where(sql<boolean>`result -> 'performance' ->> 'load' = ${of.load}`)
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : (evidenceOf(row).answer.performance ?? null);
}

const Digests = z.record(z.string(), z.custom<Digest>(isDigest));

/** Rows of a newer server may say more than this one knows. */
const Result = z.looseObject({
  summary: z.string(),
  tests: z
    .object({
      passed: z.number(),
      failed: z.number(),
      skipped: z.number(),
      flaky: z.number().optional(),
      failures: z.array(z.object({ name: z.string(), message: z.string() })),
    })
    .optional(),
  coverage: z.object({ covered: z.number(), total: z.number() }).optional(),
  changed: z
    .object({
      covered: z.number(),
      total: z.number(),
      uncovered: z.array(z.string()),
      unreported: z.array(z.string()),
    })
    .optional(),
  findings: z
    .object({
      counts: z.record(z.enum(LEVELS), z.number()),
      first: z.array(z.object({ level: z.enum(LEVELS), rule: z.string(), message: z.string(), where: z.string() })),
    })
    .optional(),
  performance: z.object({ measures: z.partialRecord(z.enum(MEASURES), z.number()), load: z.string() }).optional(),
  kept: z
    .object({
      files: z.array(z.object({ path: z.string(), digest: z.custom<Digest>(isDigest), size: z.number() })),
      leftOut: z.number(),
    })
    .optional(),
  pacts: z.array(z.object({ provider: z.string(), digest: z.string(), interactions: z.number() })).optional(),
  contract: z
    .object({
      consumer: z.string(),
      digest: z.string(),
      broken: z.array(z.object({ interaction: z.string(), why: z.string() })),
    })
    .optional(),
  scan: z
    .object({
      state: z.enum(['pass', 'fail', 'stale-db', 'no-data', 'error']),
      scanner: z.string(),
      packages: z.number(),
      database: z.object({ digest: z.string(), newestMs: z.number(), at: z.string() }).nullable(),
      untilMs: z.number().optional(),
      againMs: z.number().optional(),
    })
    .optional(),
  earlier: z.array(z.object({ verdict: z.enum(['failed', 'error']), summary: z.string() })).optional(),
  ran: z
    .object({
      runner: z.enum(['docker', 'runc', 'bwrap', 'chroot', 'host']),
      isolates: z.boolean(),
      notHeld: z.array(z.enum(['memoryMb', 'cpus', 'pids'])).optional(),
    })
    .optional(),
});

function evidenceOf(row: Selectable<EvidenceTable>): RecordedEvidence {
  const { summary, tests, coverage, changed, findings, performance, kept, pacts, contract, earlier, ran, scan } =
    Result.parse(row.result);
  const answer: CheckAnswer = {
    verdict: row.verdict,
    summary,
    ...(tests === undefined ? {} : { tests }),
    ...(coverage === undefined ? {} : { coverage }),
    ...(changed === undefined ? {} : { changed }),
    ...(findings === undefined ? {} : { findings }),
    ...(performance === undefined ? {} : { performance }),
    ...(kept === undefined ? {} : { kept }),
    ...(scan === undefined ? {} : { scan }),
    ...(pacts === undefined ? {} : { pacts }),
    ...(contract === undefined ? {} : { contract }),
    ...(earlier === undefined ? {} : { earlier }),
    ...(ran === undefined ? {} : { ran }),
  };
  return {
    id: row.id,
    projectId: row.project_id,
    question: row.question,
    check: row.check_name,
    ...(row.check_type === null ? {} : { type: wordOf(row.check_type) }),
    service: row.service,
    releaseId: row.release_id,
    environmentId: row.environment_id,
    digests: Digests.parse(row.digests),
    answer,
    logId: row.log_id,
    at: row.at,
  };
}
