import { TowpathError } from '../../lib/error.ts';
import type { Sql } from '../../store/database.ts';

/** A project by its name. @throws TowpathError `project.unknown` */
export async function projectNamed(db: Sql, name: string): Promise<{ id: string; name: string }> {
  const row = await db
    .selectFrom('project')
    .select(['id', 'name'])
    .where('name', '=', name)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  if (row !== undefined) return row;
  const known = await db
    .selectFrom('project')
    .select('name')
    .where('removed_at', 'is', null)
    .orderBy('name')
    .limit(20)
    .execute();
  throw new TowpathError({
    code: 'project.unknown',
    what: `There is no project "${name}".`,
    fix:
      known.length === 0
        ? 'Add one with `towpath project add <git url>`.'
        : `Name one of: ${known.map((one) => one.name).join(', ')}.`,
  });
}
