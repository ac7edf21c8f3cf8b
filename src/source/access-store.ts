import type { Sql } from '../store/database.ts';

/** How a repository is reached and who may wake it: references to secrets, never values. */
export interface RepositoryAccess {
  readonly url: string;
  /** What kind of server it is on, where somebody said so. */
  readonly host: string | null;
  readonly credential: string | null;
  readonly webhookSecret: string | null;
}

export async function repositoryAccess(db: Sql, repositoryId: string): Promise<RepositoryAccess> {
  const row = await db
    .selectFrom('repository')
    .select(['url', 'host', 'credential', 'webhook_secret'])
    .where('id', '=', repositoryId)
    .executeTakeFirstOrThrow();
  return { url: row.url, host: row.host, credential: row.credential, webhookSecret: row.webhook_secret };
}

/** What is not given stays as it is. */
export interface AccessChange {
  readonly host?: string | null | undefined;
  readonly credential?: string | null | undefined;
  readonly webhookSecret?: string | null | undefined;
}

export async function recordAccess(
  db: Sql,
  repositoryId: string,
  { host, credential, webhookSecret }: AccessChange,
): Promise<void> {
  if (host === undefined && credential === undefined && webhookSecret === undefined) return;
  await db
    .updateTable('repository')
    .set({
      ...(host === undefined ? {} : { host }),
      ...(credential === undefined ? {} : { credential }),
      ...(webhookSecret === undefined ? {} : { webhook_secret: webhookSecret }),
    })
    .where('id', '=', repositoryId)
    .execute();
}
