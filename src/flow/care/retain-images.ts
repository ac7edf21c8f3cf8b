import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';
import { groupBy } from '../../lib/group.ts';
import { attemptEach } from './attempt.ts';
import { planRetention, type RetainedRepository } from './retention.ts';
import { retentionFacts } from './retention-facts.ts';

/** Compares the names of all images with what the environments need, and sets them right. One bad one stops no other. */
export async function retainImages(house: Pick<House, 'store' | 'registry' | 'log'>): Promise<void> {
  const { db } = house.store;
  const projects = await db.selectFrom('project').select(['id', 'name']).execute();
  // a project that was removed and one that has its name now share the repositories of their images
  const namesakes = [...groupBy(projects, ({ name }) => name).values()].map((some) => some.map(({ id }) => id));
  await attemptEach(house.log, namesakes, 'retention of images', async (ids) => {
    // The names first: one that appears after them belongs to what the facts show, or to what comes later.
    const repositories = await repositoriesOf(house, ids);
    const environments = (await Promise.all(ids.map((id) => retentionFacts(db, id)))).flat();
    const plans = repositories.map((repository) => planRetention(environments, repository));
    const add = plans.flatMap((plan) => plan.add);
    await attemptEach(house.log, add, 'pinning an image', ({ repository, digest, tag }) =>
      house.registry.tag(repository, digest, tag),
    );
    const remove = plans.flatMap((plan) => plan.remove);
    await attemptEach(house.log, remove, 'removing the name of an image', ({ repository, tag }) =>
      house.registry.deleteManifest(repository, tag),
    );
  });
}

async function repositoriesOf(
  { store, registry }: Pick<House, 'store' | 'registry'>,
  projectIds: readonly string[],
): Promise<RetainedRepository[]> {
  const rows = await store.db
    .selectFrom('artifact')
    .select('repository')
    .distinct()
    .where('project_id', 'in', [...projectIds])
    .execute();
  return Promise.all(
    rows.map(async ({ repository }) => {
      const tags = await registry.tags(repository);
      return { repository, tags, building: await isBuilding(store.db, repository) };
    }),
  );
}

async function isBuilding(db: Sql, repository: string): Promise<boolean> {
  const row = await db
    .selectFrom('artifact')
    .select('key')
    .where('repository', '=', repository)
    .where('state', '=', 'building')
    .executeTakeFirst();
  return row !== undefined;
}
