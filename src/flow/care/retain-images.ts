import { sql } from 'kysely';

import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';
import { groupBy } from '../../lib/group.ts';
import { shareImage } from '../../registry/share-image.ts';
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
    const pins = environments.flatMap((environment) => environment.pins);
    const builtIn = new Map(pins.map((pin) => [`${pin.repository}@${pin.digest}`, pin.builtIn]));
    await attemptEach(house.log, add, 'pinning an image', async ({ repository, digest, tag }) => {
      const from = builtIn.get(`${repository}@${digest}`) ?? repository;
      await shareImage(house.registry, { from, to: repository, digest });
      await house.registry.tag(repository, digest, tag);
    });
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
  const names = await namesIn(store.db, projectIds);
  const found = await Promise.all(
    names.map(async (repository) => ({ repository, tags: await registry.tags(repository) })),
  );
  // asked after the tags: what is being built then had no other name before
  const building = await beingBuilt(store.db);
  return found.map((one) => ({ ...one, building: building.has(one.repository) }));
}

/** Where these projects built something, and where their environments gave names to what a service of equal contents built. */
async function namesIn(db: Sql, projectIds: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ repository: string }>`
    select repository from artifact where project_id = any(${[...projectIds]})
    union
    select project.name || '/' || release_service.service
    from promotion
      join project on project.id = promotion.project_id
      join release_service on release_service.release_id = promotion.release_id
    where promotion.project_id = any(${[...projectIds]})`.execute(db);
  return rows.map(({ repository }) => repository);
}

async function beingBuilt(db: Sql): Promise<Set<string>> {
  const rows = await db
    .selectFrom('artifact')
    .select('repository')
    .distinct()
    .where('state', '=', 'building')
    .execute();
  return new Set(rows.map(({ repository }) => repository));
}
