import type { Sql } from '../store/database.ts';
import { CheckError } from './error.ts';
import type { Pact } from './report/pact.ts';

/** Keeps a pact for good. One that expects the same is there already, and stays as it is. */
export async function keepPact(db: Sql, projectId: string, { digest, consumer, provider, interactions, text }: Pact) {
  await db
    .insertInto('pact')
    .values({ project_id: projectId, digest, consumer, provider, interactions, body: text })
    .onConflict((conflict) => conflict.columns(['project_id', 'digest']).doNothing())
    .execute();
}

/** The newest 100 of a project, the newest first. */
export async function newestPacts(
  db: Sql,
  projectId: string,
): Promise<{ digest: string; consumer: string; provider: string; interactions: number; at: Date }[]> {
  return db
    .selectFrom('pact')
    .select(['digest', 'consumer', 'provider', 'interactions', 'at'])
    .where('project_id', '=', projectId)
    .orderBy('at', 'desc')
    .orderBy('digest')
    .limit(100)
    .execute();
}

/** @throws CheckError `check.no-pact` */
export async function pactText(db: Sql, projectId: string, digest: string): Promise<string> {
  const row = await db
    .selectFrom('pact')
    .select('body')
    .where('project_id', '=', projectId)
    .where('digest', '=', digest)
    .executeTakeFirst();
  if (row !== undefined) return row.body;
  throw new CheckError({
    code: 'check.no-pact',
    what: `There is no pact ${digest.slice(0, 12)} in this project.`,
    fix: '`towpath pact list` shows those that are kept.',
  });
}
