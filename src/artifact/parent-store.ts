import { sql } from 'kysely';

import type { Digest } from '../lib/digest.ts';
import type { Problem } from '../lib/error.ts';
import { groupBy } from '../lib/group.ts';
import type { Sql } from '../store/database.ts';

/** A base service that an artifact is built upon. */
export interface ParentRow {
  readonly name: string;
  readonly key: string;
  readonly state: 'building' | 'built' | 'failed';
  readonly repository: string;
  readonly digest: Digest | null;
  readonly problem: Problem | null;
}

export async function parentsOf(db: Sql, key: string): Promise<ParentRow[]> {
  const { rows } = await sql<ParentRow>`
    select base.key as name, parent.key, parent.state, parent.repository, parent.problem,
      case when parent.state = 'built' then parent.digest end as digest
    from artifact child
      join lateral jsonb_each_text(child.inputs -> 'parents') base on true
      join artifact parent on parent.key = base.value
    where child.key = ${key}
    order by 1`.execute(db);
  return rows;
}

/**
 * What is to be built upon an artifact, and is not. Their rows stay locked until the end of the transaction, so that of
 * two bases that end at once the second one sees the first.
 */
export async function waitingUpon(db: Sql, key: string): Promise<string[]> {
  const { rows } = await sql<{ key: string }>`
    select key from artifact
    where state = 'building' and depth > 0
      and exists (select from jsonb_each_text(inputs -> 'parents') base where base.value = ${key})
    order by depth, key for update`.execute(db);
  return rows.map((row) => row.key);
}

/** The keys with all that failed below them, bases first: what has to be built again. */
export async function failedWithBases(db: Sql, keys: readonly string[]): Promise<string[]> {
  if (keys.length === 0) return [];
  const { rows } = await sql<{ key: string }>`
    with recursive failed as (
      select key, depth, inputs from artifact where key = any(${[...keys]}) and state = 'failed'
      union
      select parent.key, parent.depth, parent.inputs
      from failed
        join lateral jsonb_each_text(failed.inputs -> 'parents') base on true
        join artifact parent on parent.key = base.value and parent.state = 'failed'
    )
    select key from failed order by depth, key`.execute(db);
  return rows.map((row) => row.key);
}

/** The base services that each of some artifacts is built upon, by its key. */
export async function parentsOfAll(
  db: Sql,
  keys: readonly string[],
): Promise<Map<string, { service: string; key: string }[]>> {
  if (keys.length === 0) return new Map();
  const { rows } = await sql<{ child: string; service: string; key: string }>`
    select artifact.key as child, base.key as service, base.value as key
    from artifact join lateral jsonb_each_text(artifact.inputs -> 'parents') base on true
    where artifact.key = any(${[...keys]})
    order by 1, 2`.execute(db);
  const groups = groupBy(rows, ({ child }) => child);
  return new Map([...groups].map(([child, bases]) => [child, bases.map(({ service, key }) => ({ service, key }))]));
}
