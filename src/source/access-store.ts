import type { Sql } from '../store/database.ts';

/** How a repository is reached and who may wake it: references to secrets, never values. */
export interface RepositoryAccess {
  readonly url: string;
  readonly credential: string | null;
  readonly webhookSecret: string | null;
}

export async function repositoryAccess(db: Sql, repositoryId: string): Promise<RepositoryAccess> {
  const row = await db
    .selectFrom('repository')
    .select(['url', 'credential', 'webhook_secret'])
    .where('id', '=', repositoryId)
    .executeTakeFirstOrThrow();
  return { url: row.url, credential: row.credential, webhookSecret: row.webhook_secret };
}

/** What is not given stays as it is. */
export interface AccessChange {
  readonly credential?: string | null | undefined;
  readonly webhookSecret?: string | null | undefined;
}

export async function recordAccess(
  db: Sql,
  repositoryId: string,
  { credential, webhookSecret }: AccessChange,
): Promise<void> {
  if (credential === undefined && webhookSecret === undefined) return;
  await db
    .updateTable('repository')
    .set({
      ...(credential === undefined ? {} : { credential }),
      ...(webhookSecret === undefined ? {} : { webhook_secret: webhookSecret }),
    })
    .where('id', '=', repositoryId)
    .execute();
}
