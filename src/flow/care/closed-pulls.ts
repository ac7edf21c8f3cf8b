import { endEnvironment } from '../../environment/ending-store.ts';
import { pullNumber } from '../../git/ref.ts';
import { repositoryAccess } from '../../source/access-store.ts';
import { isPullOpen } from '../../source/pull-request.ts';
import { recordEvent } from '../../store/event-store.ts';
import type { House } from '../house.ts';
import { attemptEach } from './attempt.ts';

interface PullPreview {
  readonly id: string;
  readonly project_id: string;
  readonly preview_ref: string | null;
  readonly repository: string;
}

/**
 * Hosts keep the ref of a pull request that was closed, so its state is asked of the host, where there is a token for that.
 * Without one its preview ends by its `ttl`.
 */
export async function endClosedPulls(house: Pick<House, 'store' | 'hosts' | 'log'>): Promise<void> {
  const { store, hosts, log } = house;
  const previews: PullPreview[] = await store.db
    .selectFrom('environment')
    .innerJoin('repository', 'repository.id', 'environment.repository_id')
    .select(['environment.id', 'environment.project_id', 'preview_ref', 'repository.id as repository'])
    .where('environment.removed_at', 'is', null)
    .where('repository.wants_pulls', '=', true)
    .where('repository.left_at', 'is', null)
    .where('preview_ref', 'is not', null)
    .where('preview_ref', 'not like', 'refs/heads/%')
    .execute();
  await attemptEach(log, previews, 'asking for the state of a pull request', async (preview) => {
    const number = pullNumber(preview.preview_ref ?? '');
    const access = await repositoryAccess(store.db, preview.repository);
    if (number === null || access.credential === null) return;
    if ((await isPullOpen(hosts, access, number)) !== false) return;
    await store.transaction(async (tx) => {
      await endEnvironment(tx, preview.id);
      const data = { pullRequest: number };
      await recordEvent(tx, { projectId: preview.project_id, kind: 'environment.ending', subject: preview.id, data });
    });
  });
}
