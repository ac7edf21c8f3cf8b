import { listAudit } from '../../audit/audit-store.ts';
import { hasCode, TowpathError } from '../../lib/error.ts';
import { findPromotion } from '../../path/find-promotion-store.ts';
import { findRelease } from '../../release/find-store.ts';
import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';
import type { UseCases } from '../use-cases.ts';
import { projectNamed } from './project-named.ts';
import { briefsOf } from './views.ts';

export function auditCases({ store: { db } }: House): UseCases['audit'] {
  return {
    async list({ limit, cursor, subject, project }) {
      const subjects = subject === undefined ? undefined : await subjectsOf(db, subject, project);
      const { entries, next } = await listAudit(db, {
        limit,
        ...(cursor === undefined ? {} : { cursor }),
        ...(subjects === undefined ? {} : { subjects }),
      });
      const names = await namesOf(
        db,
        entries.map((entry) => entry.subject),
      );
      const items = entries.map((entry) => ({
        ...entry,
        name: names.get(entry.subject) ?? entry.subject,
        at: entry.at.toISOString(),
      }));
      return next === null ? { items } : { items, next };
    },
  };
}

/** The ids that a word may mean, in the project that was named or in any. @throws TowpathError `path.unknown-subject` */
async function subjectsOf(db: Sql, word: string, project: string | undefined): Promise<string[]> {
  if (/^[a-z]{3}_[0-9a-z]{26}$/.test(word)) return [word];
  const projects =
    project === undefined
      ? await db.selectFrom('project').select(['id', 'name']).execute()
      : [await projectNamed(db, project)];
  const within = await Promise.all(projects.map(({ id }) => subjectsWithin(db, id, word)));
  const found = [...projects.filter(({ name }) => name === word).map(({ id }) => id), ...within.flat()];
  if (found.length > 0) return found;
  throw new TowpathError({
    code: 'path.unknown-subject',
    what: `There is nothing called "${word}".`,
    fix: 'Name a project, an environment, a promotion (its id, or `promotion 12`), or a release (#12, a commit, a branch or a tag).',
  });
}

async function subjectsWithin(db: Sql, projectId: string, word: string): Promise<string[]> {
  const environments = await db // those that are gone too: what was done to them stays
    .selectFrom('environment')
    .select('id')
    .where('project_id', '=', projectId)
    .where((eb) => eb.or([eb('name', '=', word), eb('preview_branch', '=', word)]))
    .execute();
  if (environments.length > 0) return environments.map(({ id }) => id);
  const promotion = await findPromotion(db, word, projectId);
  if (promotion !== null) return [promotion.id];
  try {
    return [(await findRelease(db, projectId, word)).id];
  } catch (error) {
    if (hasCode(error, 'release.unknown')) return [];
    throw error;
  }
}

/** What people call what the ids stand for. */
async function namesOf(db: Sql, ids: readonly string[]): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  if (ids.length === 0) return names;
  const projects = await db
    .selectFrom('project')
    .select(['id', 'name'])
    .where('id', 'in', [...ids])
    .execute();
  for (const { id, name } of projects) names.set(id, name);
  const places = await db
    .selectFrom('environment')
    .select(['id', 'name'])
    .where('id', 'in', [...ids])
    .execute();
  for (const { id, name } of places) names.set(id, name);
  const promotions = await db
    .selectFrom('promotion')
    .innerJoin('environment', 'environment.id', 'promotion.environment_id')
    .select(['promotion.id', 'promotion.number', 'environment.name'])
    .where('promotion.id', 'in', [...ids])
    .execute();
  for (const { id, number, name } of promotions) names.set(id, `promotion ${number} to ${name}`);
  for (const [id, { number, commit }] of await briefsOf(db, ids)) names.set(id, `#${number} (${commit.slice(0, 7)})`);
  return names;
}
