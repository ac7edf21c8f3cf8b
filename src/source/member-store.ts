import { sql } from 'kysely';

import type { Problem } from '../lib/error.ts';
import { newId } from '../lib/ids.ts';
import type { Sql } from '../store/database.ts';
import { leaveRepositories } from './leave-store.ts';
import { wakeRepository } from './wake-store.ts';

/** A repository of a project beside its home. */
export interface Member {
  readonly name: string;
  readonly url: string;
}

/** One that is watched. `name` is null for the home. */
export interface Watched {
  readonly id: string;
  readonly name: string | null;
  readonly url: string;
  readonly defaultBranch: string;
}

/** The home first. */
export async function repositoriesOf(db: Sql, projectId: string): Promise<Watched[]> {
  const rows = await db
    .selectFrom('repository')
    .select(['id', 'name', 'url', 'default_branch'])
    .where('project_id', '=', projectId)
    .where('left_at', 'is', null)
    .orderBy(sql`name is not null`)
    .orderBy('name')
    .execute();
  return rows.map(({ default_branch: defaultBranch, ...row }) => ({ ...row, defaultBranch }));
}

/** What stands in the way of seeing what is pushed to a project, if something does: to its home before its members. */
export async function unseenOf(db: Sql, projectId: string): Promise<Problem | null> {
  const row = await db
    .selectFrom('repository')
    .select('poll_error')
    .where('project_id', '=', projectId)
    .where('left_at', 'is', null)
    .where('poll_error', 'is not', null)
    .orderBy(sql`name is not null`)
    .orderBy('name')
    .executeTakeFirst();
  return (row?.poll_error as Problem | undefined) ?? null;
}

export async function repositoryById(db: Sql, id: string): Promise<Watched & { readonly projectId: string }> {
  const row = await db
    .selectFrom('repository')
    .select(['id', 'project_id', 'name', 'url', 'default_branch'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    url: row.url,
    defaultBranch: row.default_branch,
  };
}

/** Who watches any of these addresses already, besides as a member of this project. */
export async function watchersOf(
  db: Sql,
  projectId: string,
  urls: readonly string[],
): Promise<{ project: string; url: string }[]> {
  if (urls.length === 0) return [];
  return db
    .selectFrom('repository')
    .innerJoin('project', 'project.id', 'repository.project_id')
    .select(['project.name as project', 'repository.url'])
    .where('repository.url', 'in', [...urls])
    .where('repository.left_at', 'is', null)
    .where((eb) => eb.or([eb('repository.project_id', '<>', projectId), eb('repository.name', 'is', null)]))
    .orderBy('repository.url')
    .execute();
}

/** Watches the members that are named, from now on, and no others. One that comes back is seen as for the first time. Safe to repeat. */
export async function syncMembers(db: Sql, projectId: string, wanted: readonly Member[], now: number): Promise<void> {
  const present = (await repositoriesOf(db, projectId)).filter(({ name }) => name !== null);
  const isWanted = ({ name, url }: Watched): boolean => wanted.some((one) => one.name === name && one.url === url);
  const gone = present.filter((one) => !isWanted(one)).map(({ id }) => id);
  if (gone.length > 0) await leaveRepositories(db, projectId, gone);
  for (const { name, url } of wanted) {
    if (present.some((one) => one.name === name && one.url === url)) continue;
    const { id } = await db
      .insertInto('repository')
      .values({ id: newId('rpo'), project_id: projectId, name, url, default_branch: 'main' })
      .onConflict((conflict) =>
        conflict.columns(['project_id', 'url']).doUpdateSet({ name, left_at: null, refs_hash: null }),
      )
      .returning('id')
      .executeTakeFirstOrThrow();
    await wakeRepository(db, id, now);
  }
}

/** A service of one of these names that another repository of the project has already. */
export async function serviceElsewhere(
  db: Sql,
  { projectId, id }: { readonly projectId: string; readonly id: string },
  services: readonly string[],
): Promise<{ service: string; url: string } | null> {
  const { rows } = await sql<{ service: string; url: string }>`
    select service, url from repository, jsonb_object_keys(config -> 'services') as service
    where project_id = ${projectId} and repository.id <> ${id} and left_at is null
      and service = any(${[...services]})
    order by service limit 1`.execute(db);
  return rows[0] ?? null;
}
