import type { CommitInfo } from '../git/commit.ts';
import type { Sql } from '../store/database.ts';

export interface CommitRow {
  readonly sha: string;
  readonly firstParent: string | null;
  readonly authorName: string;
  readonly authorEmail: string;
  readonly committedAt: Date;
  readonly subject: string;
  /** First-parent steps from the root, on the default branch only. */
  readonly position: number | null;
}

/** Safe to repeat; a position once known stays. */
export async function recordCommit(
  db: Sql,
  repositoryId: string,
  commit: CommitInfo,
  position: number | null,
): Promise<void> {
  await db
    .insertInto('commit')
    .values({
      repository_id: repositoryId,
      sha: commit.sha,
      first_parent: commit.parents[0] ?? null,
      author_name: commit.authorName,
      author_email: commit.authorEmail,
      committed_at: new Date(commit.committedAtMs),
      subject: commit.subject,
      position,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['repository_id', 'sha'])
        .doUpdateSet((eb) => ({ position: eb.fn.coalesce('excluded.position', 'commit.position') })),
    )
    .execute();
}

export async function commitsOf(
  db: Sql,
  repositoryId: string,
  shas: readonly string[],
): Promise<Map<string, CommitRow>> {
  if (shas.length === 0) return new Map();
  const rows = await db
    .selectFrom('commit')
    .selectAll()
    .where('repository_id', '=', repositoryId)
    .where('sha', 'in', [...new Set(shas)])
    .execute();
  return new Map(
    rows.map((row) => [
      row.sha,
      {
        sha: row.sha,
        firstParent: row.first_parent,
        authorName: row.author_name,
        authorEmail: row.author_email,
        committedAt: row.committed_at,
        subject: row.subject,
        position: row.position,
      },
    ]),
  );
}
