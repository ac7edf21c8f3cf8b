import { sql } from 'kysely';

import type { Sql, Store } from '../../store/database.ts';
import type { House } from '../house.ts';
import { hasCode } from '../../lib/error.ts';
import { groupBy } from '../../lib/group.ts';
import { inParts } from '../../lib/parts.ts';
import { shareImage } from '../../registry/copy-image.ts';
import { awaitRemovals, beginRemoval } from '../../registry/removal-store.ts';
import { attemptEach } from './attempt.ts';
import { namesGivenUp } from './names-given-up.ts';
import { planRetention, type RetainedRepository, type RetentionPlan } from './retention.ts';
import { retentionFacts } from './retention-facts.ts';

interface Place {
  readonly store: Pick<Store, 'db'>;
  readonly registry: House['registry'];
}

/** So many names are taken off in one turn: who gives names to images of the same repository waits for it. */
const PART = 50;

/** Compares the names of all images with what the environments need, and sets them right. One bad one stops no other. */
export async function retainImages(house: Pick<House, 'store' | 'registry' | 'log'>): Promise<void> {
  const { store, registry, log } = house;
  await attemptEach(log, await namesakes(store.db), 'retention of images', async (ids) => {
    const { plans, builtIn } = await planNames(house, ids);
    const add = plans.flatMap((plan) => plan.add);
    await awaitRemovals(
      store,
      add.map(({ repository }) => repository),
    );
    await attemptEach(log, add, 'pinning an image', async ({ repository, digest, tag }) => {
      const from = builtIn.get(`${repository}@${digest}`) ?? repository;
      await shareImage(registry, { from, to: repository, digest });
      await registry.tag(repository, digest, tag);
    });
    const parts = plans.flatMap(({ remove }) => inParts(remove, PART));
    await attemptEach(log, parts, 'removing names of images', (part) => removeNames(house, ids, part));
  });
}

/**
 * Takes names off in one repository while nobody can give any there. It is asked again whether they are over: a name that
 * is wanted again by now stays, and one that is wanted from now on is given when this has ended.
 */
async function removeNames(
  { store, registry, log }: Pick<House, 'store' | 'registry' | 'log'>,
  projectIds: readonly string[],
  names: RetentionPlan['remove'],
): Promise<void> {
  const [first] = names;
  if (first === undefined) return;
  await store.transaction(async (tx) => {
    await beginRemoval(tx, first.repository);
    const tags = new Map([[first.repository, names.map(({ tag }) => tag)]]);
    const { plans } = await planFor({ store: { db: tx }, registry }, projectIds, tags);
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
  const names = await namesIn(place.store.db, projectIds);
  const tags = await Promise.all(
    names.map(async (repository) => [repository, await place.registry.tags(repository)] as const),
  );
  return planFor(place, projectIds, new Map(tags));
}

/**
 * @param tags repository -> tags that were seen there. All else is asked after them: so one that appears later belongs to what
 * the facts show, or to what comes after, and what is being built had no other name before
 */
async function planFor(
  { store: { db }, registry }: Place,
  projectIds: readonly string[],
  tags: ReadonlyMap<string, readonly string[]>,
): Promise<NamesPlan> {
  const building = await beingBuilt(db);
  const over = await namesGivenUp(db, registry, tags);
  const repositories = [...tags].map(([repository, there]) => ({
    repository,
    tags: there,
    building: building.has(repository),
    over: new Set(there.filter((tag) => over.has(`${repository}:${tag}`))),
  }));
  const environments = await retentionFacts(db, projectIds);
  const pins = environments.flatMap((environment) => environment.pins);
  return {
    repositories,
    plans: repositories.map((repository) => planRetention(environments, repository)),
    builtIn: new Map(pins.map((pin) => [`${pin.repository}@${pin.digest}`, pin.builtIn])),
  };
}

/** Where these projects built something, and where their environments gave names to what a service of equal contents built. */
export async function namesIn(db: Sql, projectIds: readonly string[]): Promise<string[]> {
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
