import { sql } from 'kysely';

import type { StatedImage } from '../../attestation/attestation-store.ts';
import { bundlesOf } from '../../attestation/referrer.ts';
import { isDigest } from '../../lib/digest.ts';
import type { Sql } from '../../store/database.ts';
import { recordEvent } from '../../store/event-store.ts';
import type { House } from '../house.ts';
import { attemptEach } from './attempt.ts';

/**
 * What lies beside the images that run is held against our own record. Nothing is decided by the registry, so what somebody
 * took away there, or a registry that was set back forgot, lets nothing pass; but who verifies without us would miss it. It is
 * told, and wanted beside its image again. A registry that does not answer says nothing, and one that lost the image tells that
 * by itself.
 */
export async function findTakenStatements(house: Pick<House, 'store' | 'registry' | 'log'>): Promise<void> {
  const { store, registry, log } = house;
  await attemptEach(log, await imagesThatRun(store.db), 'looking for statements beside an image', async (image) => {
    const { repository, digest, projectId } = image;
    const ours = await besideAsWeKnow(store.db, image);
    if (ours.length === 0 || (await registry.manifest(repository, digest)) === null) return;
    const there = new Set<string>(await bundlesOf(registry, repository, digest));
    const taken = ours.filter(({ manifest }) => !there.has(manifest));
    if (taken.length === 0) return;
    await store.transaction(async (tx) => {
      for (const { id, manifest } of taken)
        await tx
          .updateTable('attestation')
          .set({ delivered_at: null })
          .where('id', '=', id)
          .where('manifest', '=', manifest)
          .execute();
      const data = { repository, digest, statements: taken.length };
      await recordEvent(tx, { projectId, kind: 'evidence.taken', subject: digest, data });
    });
    log.error({ repository, digest, statements: taken.length }, 'statements beside an image that runs were gone');
  });
}

/** Each of them once, wherever it runs, in the repository of its service. */
async function imagesThatRun(db: Sql): Promise<(StatedImage & { readonly projectId: string })[]> {
  const rows = await db
    .selectFrom('deployment')
    .innerJoin('environment', 'environment.id', 'deployment.environment_id')
    .innerJoin('project', 'project.id', 'environment.project_id')
    .select([
      'project.id as projectId',
      'deployment.digest',
      sql<string>`project.name || '/' || deployment.service`.as('repository'),
    ])
    .distinct()
    .where('environment.removed_at', 'is', null)
    .orderBy('repository')
    .orderBy('digest')
    .execute();
  return rows.flatMap(({ digest, ...row }) => (isDigest(digest) ? [{ ...row, digest }] : []));
}

async function besideAsWeKnow(
  db: Sql,
  { repository, digest }: StatedImage,
): Promise<{ readonly id: string; readonly manifest: string }[]> {
  const rows = await db
    .selectFrom('attestation')
    .select(['id', 'manifest'])
    .where('repository', '=', repository)
    .where('digest', '=', digest)
    .where('delivered_at', 'is not', null)
    .where('manifest', 'is not', null)
    .execute();
  return rows.flatMap(({ id, manifest }) => (manifest === null ? [] : [{ id, manifest }]));
}
