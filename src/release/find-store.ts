import { sql } from 'kysely';

import type { Sql } from '../store/database.ts';
import { ReleaseError, type Release } from './release.ts';
import { releaseById } from './release-store.ts';

/**
 * Finds a release as people name it: an id, a number (`#12` or `12`), a tag, a branch (its newest), or a commit of
 * 7 digits or more: its newest edition, or the one that is named with it (`4f2a91c.2`).
 * Branches, tags and commits are looked for in the home repository first; `api:main` is that of the member `api`.
 * @throws ReleaseError `release.unknown`, `release.ambiguous`
 */
export async function findRelease(db: Sql, projectId: string, word: string): Promise<Release> {
  const id = (await idByNumber(db, projectId, word)) ?? (await idByWord(db, projectId, word));
  const release = id === null ? null : await releaseById(db, id);
  if (release === null || release.projectId !== projectId) {
    throw new ReleaseError({
      code: 'release.unknown',
      what: `There is no release "${word}" in this project.`,
      fix: 'Name one by number (#12), commit, branch or tag; `towpath release list` shows them. A commit appears after the next poll.',
    });
  }
  return release;
}

async function idByNumber(db: Sql, projectId: string, word: string): Promise<string | null> {
  if (word.startsWith('rel_')) return word;
  const number = /^#?(\d{1,9})$/.exec(word)?.[1];
  if (number === undefined) return null;
  const row = await db
    .selectFrom('release')
    .select('id')
    .where('project_id', '=', projectId)
    .where('number', '=', Number(number))
    .executeTakeFirst();
  return row?.id ?? null;
}

/** No ref and no commit holds a colon. */
async function idByWord(db: Sql, projectId: string, word: string): Promise<string | null> {
  const [, member, name] = /^([^:]+):(.+)$/.exec(word) ?? [null, null, word];
  const rows = await db
    .selectFrom('repository')
    .select('id')
    .where('project_id', '=', projectId)
    .$if(member !== null, (query) => query.where('name', '=', member ?? ''))
    .orderBy('left_at', (order) => order.desc().nullsFirst())
    .orderBy(sql`name is not null`)
    .orderBy('name')
    .execute();
  for (const { id } of rows) {
    const found = (await idByName(db, id, name ?? word)) ?? (await idByCommit(db, id, name ?? word));
    if (found !== null) return found;
  }
  return null;
}

async function idByName(db: Sql, repositoryId: string, word: string): Promise<string | null> {
  const refs = word.startsWith('refs/') ? [word] : [`refs/tags/${word}`, `refs/heads/${word}`];
  for (const ref of refs) {
    const head = await idByHead(db, repositoryId, ref);
    if (head !== null) return head;
    const row = await db
      .selectFrom('release_name')
      .innerJoin('release', 'release.id', 'release_name.release_id')
      .select('release.id')
      .where('release.repository_id', '=', repositoryId)
      .where('release_name.ref', '=', ref)
      .orderBy('release_name.named_at', 'desc')
      .executeTakeFirst();
    if (row !== undefined) return row.id;
  }
  return null;
}

/**
 * Where a ref points now counts; when its releases were cut does not: an older commit may be read later. Of several
 * editions of the commit the newest counts that was taken in under the ref: a tag stays with what it named.
 */
async function idByHead(db: Sql, repositoryId: string, ref: string): Promise<string | null> {
  const row = await db
    .selectFrom('ref')
    .innerJoin('release', (join) =>
      join.onRef('release.repository_id', '=', 'ref.repository_id').onRef('release.commit_sha', '=', 'ref.commit_sha'),
    )
    .leftJoin('release_name', (join) =>
      join.onRef('release_name.release_id', '=', 'release.id').onRef('release_name.ref', '=', 'ref.name'),
    )
    .select('release.id')
    .where('release.repository_id', '=', repositoryId)
    .where('release.mixed', '=', false)
    .where('ref.name', '=', ref)
    .where('ref.deleted_at', 'is', null)
    .orderBy((eb) => eb('release_name.ref', 'is not', null), 'desc')
    .orderBy('release.edition', 'desc')
    .executeTakeFirst();
  return row?.id ?? null;
}

async function idByCommit(db: Sql, repositoryId: string, word: string): Promise<string | null> {
  const [, digits, edition] = /^([0-9a-f]{7,64})(?:\.(\d{1,6}))?$/.exec(word) ?? [];
  if (digits === undefined) return null;
  let query = db
    .selectFrom('release')
    .select(['id', 'commit_sha'])
    .distinctOn('commit_sha')
    .where('repository_id', '=', repositoryId)
    .where('mixed', '=', false)
    .where('commit_sha', '>=', digits)
    .where('commit_sha', '<', `${digits}g`);
  if (edition !== undefined) query = query.where('edition', '=', Number(edition));
  const rows = await query.orderBy('commit_sha').orderBy('edition', 'desc').limit(2).execute();
  if (rows.length > 1) {
    throw new ReleaseError({
      code: 'release.ambiguous',
      what: `"${word}" begins more than one commit.`,
      fix: 'Give more digits of the commit.',
    });
  }
  return rows[0]?.id ?? null;
}
