import { sql } from 'kysely';

import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';
import { hasCode } from '../../lib/error.ts';
import { groupBy } from '../../lib/group.ts';
import { shareImage } from '../../registry/copy-image.ts';
import { attemptEach } from './attempt.ts';
import { namesGivenUp } from './names-given-up.ts';
import { planRetention, type RetainedRepository, type RetentionPlan } from './retention.ts';
import { retentionFacts } from './retention-facts.ts';

type Place = Pick<House, 'store' | 'registry'>;

/** Compares the names of all images with what the environments need, and sets them right. One bad one stops no other. */
export async function retainImages(house: Place & Pick<House, 'log'>): Promise<void> {
  const { store, registry, log } = house;
  await attemptEach(log, await namesakes(store.db), 'retention of images', async (ids) => {
    const { plans, builtIn } = await planNames(house, ids);
    const add = plans.flatMap((plan) => plan.add);
    await attemptEach(log, add, 'pinning an image', async ({ repository, digest, tag }) => {
      const from = builtIn.get(`${repository}@${digest}`) ?? repository;
      await shareImage(registry, { from, to: repository, digest });
      await registry.tag(repository, digest, tag);
    });
    const remove = plans.flatMap((plan) => plan.remove);
    await attemptEach(log, remove, 'removing the name of an image', async ({ repository, tag }) => {
      await registry.deleteManifest(repository, tag).catch((error: unknown) => {
        if (!hasCode(error, 'registry.unsupported')) throw error; // it stays until its image goes
      });
    });
  });
}

/** A project that was removed and one that has its name now share the repositories of their images: ids by name. */
export async function namesakes(db: Sql): Promise<string[][]> {
  const projects = await db.selectFrom('project').select(['id', 'name']).execute();
  return [...groupBy(projects, ({ name }) => name).values()].map((some) => some.map(({ id }) => id));
}

export interface NamesPlan {
  /** A plan for each repository, in the same order. */
  readonly repositories: readonly RetainedRepository[];
  readonly plans: readonly RetentionPlan[];
  /** `<repository>@<digest>` -> the repository where it was built. */
  readonly builtIn: ReadonlyMap<string, string>;
}

export async function planNames(place: Place, projectIds: readonly string[]): Promise<NamesPlan> {
  const { db } = place.store;
  // The names first: one that appears after them belongs to what the facts show, or to what comes later.
  const repositories = await repositoriesOf(place, projectIds);
  const environments = await retentionFacts(db, projectIds);
  const plans = repositories.map((repository) => planRetention(environments, repository));
  const pins = environments.flatMap((environment) => environment.pins);
  return {
    repositories,
    plans,
    builtIn: new Map(pins.map((pin) => [`${pin.repository}@${pin.digest}`, pin.builtIn])),
  };
}

async function repositoriesOf(
  { store, registry }: Place,
  projectIds: readonly string[],
): Promise<RetainedRepository[]> {
  const names = await namesIn(store.db, projectIds);
  const found = await Promise.all(
    names.map(async (repository) => ({ repository, tags: await registry.tags(repository) })),
  );
  // asked after the tags: what is being built then had no other name before
  const building = await beingBuilt(store.db);
  const over = await namesGivenUp(store.db, registry, new Map(found.map(({ repository, tags }) => [repository, tags])));
  return found.map(({ repository, tags }) => ({
    repository,
    tags,
    building: building.has(repository),
    over: new Set(tags.filter((tag) => over.has(`${repository}:${tag}`))),
  }));
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
    where promotion.project_id = any(${[...projectIds]})
    union
    select project.name || '/' || release_service.service
    from artifact
      join release_service on release_service.artifact_key = artifact.key
      join release on release.id = release_service.release_id
      join project on project.id = release.project_id
    where artifact.given_up_at is not null and release.project_id = any(${[...projectIds]})`.execute(db);
  return rows.map(({ repository }) => repository);
}

async function beingBuilt(db: Sql): Promise<Set<string>> {
  const rows = await db
    .selectFrom('artifact')
    .select('repository')
    .distinct()
    .where('state', '=', 'building')
    .where('report_until', 'is', null)
    .execute();
  return new Set(rows.map(({ repository }) => repository));
}
