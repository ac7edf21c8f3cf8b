import { sql } from 'kysely';

import { hasCode } from '../../lib/error.ts';
import { parseReference } from '../../registry/reference.ts';
import type { Sql } from '../../store/database.ts';

/** A manifest of our registry that stays, whatever names it has. */
export interface KeptImage {
  readonly repository: string;
  readonly digest: string;
  /** As the end of "it stays, for it ...". */
  readonly why: string;
}

/** So long may a push take from its first blob to its last name. */
const GRACE_MS = 86_400_000;

const PAGE = 1000;

/**
 * What was built can be promoted for as long as the store says that it is built, and a pinned base image can be built
 * upon: the registry keeps the content of both, named or not. Read in parts, for there is no end to them.
 * @param host of our registry, as it stands in references
 */
export async function* keptImages(db: Sql, host: string): AsyncGenerator<KeptImage> {
  for (let after = ''; ;) {
    const rows = await db
      .selectFrom('artifact')
      .select(['key', 'repository', 'digest', 'built_for_commit', 'unneeded_since'])
      .where('key', '>', after)
      .where('state', '=', 'built')
      .orderBy('key')
      .limit(PAGE)
      .execute();
    for (const { repository, digest, built_for_commit: commit, unneeded_since: since } of rows)
      if (digest !== null)
        yield {
          repository,
          digest,
          why: `was built for ${commit.slice(0, 7)} and is not given up${since === null ? '' : `, though nothing has needed it since ${since.toISOString()}`}`,
        };
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) break;
    after = last.key;
  }
  const { rows: pins } = await sql<{ reference: string; digest: string; why: string }>`
    select reference, digest, 'is what ' || reference || ' is pinned to' as why from base_pin
    union select pin.reference, pin.digest, 'is built upon right now' from artifact, jsonb_each_text(artifact.inputs -> 'pins') as pin (reference, digest)
      where artifact.state = 'building'`.execute(db);
  for (const { reference, digest, why } of pins) {
    const repository = repositoryHere(reference, host);
    if (repository !== null) yield { repository, digest, why };
  }
}

/**
 * The age from which on content may go. A build may have pushed its image long before it is written down, for its server
 * was off: nothing goes that is younger than the oldest build, or report of another CI, under way.
 */
export async function contentBefore(db: Sql, nowMs: number): Promise<number> {
  const { rows } = await sql<{ at: Date | null }>`
    select least(
      (select min(requested_at) from artifact where state = 'building' and report_until is null),
      (select min(reported_at) from artifact_report where ended_at is null)) as at`.execute(db);
  return Math.min(nowMs, rows[0]?.at?.getTime() ?? nowMs) - GRACE_MS;
}

function repositoryHere(reference: string, host: string): string | null {
  try {
    const parsed = parseReference(reference);
    const full = `${parsed.host}/${parsed.repository}`;
    return full.startsWith(`${host}/`) ? full.slice(host.length + 1) : null;
  } catch (error) {
    if (hasCode(error, 'registry.name-invalid')) return null; // a default base: `towpath:node-22` rests under its tag
    throw error;
  }
}
