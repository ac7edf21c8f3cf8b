import { type CheckType, wordOf } from '../check/check-type.ts';
import { groupBy } from '../lib/group.ts';
import type { Sql } from '../store/database.ts';

/** A check that is a gate on the path, and whose latest answer about what an environment runs is not a pass. */
export interface Revoked {
  readonly environmentId: string;
  readonly check: string;
  readonly type: CheckType | null;
  readonly service: string;
  readonly verdict: 'failed' | 'error';
  readonly summary: string;
  readonly evidence: string;
  readonly logId: string | null;
  readonly since: Date;
}

export interface ReleaseQuestion {
  readonly check: string;
  readonly service: string;
  readonly question: string;
}

/** Safe to repeat: more of its checks may have become gates, and the pins of what runs beside them may have moved. */
export async function recordQuestions(
  db: Sql,
  releaseId: string,
  questions: readonly ReleaseQuestion[],
): Promise<void> {
  if (questions.length === 0) return;
  await db
    .insertInto('release_question')
    .values(
      questions.map(({ check, service, question }) => ({
        release_id: releaseId,
        check_name: check,
        service,
        question,
      })),
    )
    .onConflict((conflict) =>
      conflict
        .columns(['release_id', 'check_name', 'service'])
        .doUpdateSet((eb) => ({ question: eb.ref('excluded.question') })),
    )
    .execute();
}

/**
 * The question that a check of a release was until now, when it is another one: the pins of what runs beside it have moved.
 * Whatever was asked that is asked this from here on.
 */
export async function replaceQuestion(
  db: Sql,
  releaseId: string,
  { check, service, question }: ReleaseQuestion,
): Promise<string> {
  const row = await db
    .selectFrom('release_question')
    .select('question')
    .where('release_id', '=', releaseId)
    .where('check_name', '=', check)
    .where('service', '=', service)
    .executeTakeFirst();
  if (row === undefined || row.question === question) return question;
  await db.updateTable('release_question').set({ question }).where('question', '=', row.question).execute();
  return row.question;
}

/** By environment: invariant 6 for what runs already. */
export async function revokedIn(db: Sql, environmentIds: readonly string[]): Promise<Map<string, Revoked[]>> {
  if (environmentIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('environment')
    .innerJoin('release_question as asked', 'asked.release_id', 'environment.current_release_id')
    .innerJoinLateral(
      (from) =>
        from
          .selectFrom('evidence')
          .select([
            'evidence.id',
            'evidence.check_type',
            'evidence.verdict',
            'evidence.result',
            'evidence.log_id',
            'evidence.at',
          ])
          .whereRef('evidence.question', '=', 'asked.question')
          .orderBy('evidence.at', 'desc')
          .orderBy('evidence.id', 'desc')
          .limit(1)
          .as('latest'),
      (join) => join.onTrue(),
    )
    .select([
      'environment.id as environmentId',
      'asked.check_name as check',
      'asked.service',
      'latest.id as evidence',
      'latest.check_type as word',
      'latest.verdict',
      'latest.result',
      'latest.log_id as logId',
      'latest.at as since',
    ])
    .where('environment.id', 'in', [...environmentIds])
    .where('latest.verdict', '<>', 'passed')
    .orderBy('asked.check_name')
    .orderBy('asked.service')
    .execute();
  const revoked = rows.flatMap(({ verdict, result, word, ...row }) =>
    verdict === 'passed' ? [] : [{ ...row, type: wordOf(word), verdict, summary: summaryOf(result) }],
  );
  return groupBy(revoked, ({ environmentId }) => environmentId);
}

/** The environments that run a release which is asked this very question. */
export async function environmentsAsked(
  db: Sql,
  question: string,
): Promise<{ readonly environmentId: string; readonly releaseId: string; readonly definition: unknown }[]> {
  return db
    .selectFrom('release_question')
    .innerJoin('environment', 'environment.current_release_id', 'release_question.release_id')
    .select(['environment.id as environmentId', 'release_question.release_id as releaseId', 'environment.definition'])
    .where('release_question.question', '=', question)
    .where('environment.removed_at', 'is', null)
    .orderBy('environment.id')
    .execute();
}

function summaryOf(result: unknown): string {
  const { summary } = Object(result) as { summary?: unknown };
  return typeof summary === 'string' ? summary : '';
}
