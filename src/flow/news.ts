import { pullNumber } from '../git/ref.ts';
import type { RefNews } from '../source/poll-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import type { Starts } from './starts.ts';

/**
 * What follows from a poll's news, in the poll's own transaction: a workflow per change. Of a repository that is seen for
 * the first time only the default branch is taken in: nobody wants a preview of each old branch and a build of each old tag.
 * So it is with pull requests when they are asked for first.
 */
export function followNews(starts: () => Starts) {
  return async (
    tx: Tx,
    { repositoryId, projectId, events, isFirst, arePullsNew, defaultBranch }: RefNews,
  ): Promise<void> => {
    const branch = await followDefaultBranch(tx, repositoryId, defaultBranch);
    for (const event of events) {
      const isOld = arePullsNew && pullNumber(event.ref) !== null;
      if (isOld || (isFirst && event.ref !== `refs/heads/${branch}`)) {
        await tx.updateTable('ref_event').set({ handled_at: new Date() }).where('id', '=', event.id).execute();
        continue;
      }
      await recordEvent(tx, {
        projectId,
        kind: `ref.${event.kind}`,
        subject: event.ref,
        data: { before: event.before, after: event.after, repository: repositoryId },
      });
      await starts().ingest(tx, event.id);
    }
  };
}

/**
 * The default branch rules the path, so it stays what it was when the project was added: HEAD of a work tree moves with
 * every `git switch`. Only when that branch is gone (renamed on its server) the branch that HEAD names takes its place.
 */
async function followDefaultBranch(tx: Tx, repositoryId: string, head: string | null): Promise<string> {
  const row = await tx
    .selectFrom('repository')
    .select('default_branch')
    .where('id', '=', repositoryId)
    .executeTakeFirstOrThrow();
  const lives = await tx
    .selectFrom('ref')
    .select('name')
    .where('repository_id', '=', repositoryId)
    .where('name', '=', `refs/heads/${row.default_branch}`)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (lives !== undefined || head === null) return row.default_branch;
  const branch = head.replace(/^refs\/heads\//, '');
  await tx.updateTable('repository').set({ default_branch: branch }).where('id', '=', repositoryId).execute();
  return branch;
}
