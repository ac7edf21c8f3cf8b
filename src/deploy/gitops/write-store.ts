import { sql } from 'kysely';

import type { Problem } from '../../lib/error.ts';
import { sha256Hex } from '../../lib/digest.ts';
import { json, type Sql } from '../../store/database.ts';
import { WriteRequest } from './write-request.ts';

/** A branch of a manifest repository, as the store knows it. */
export interface ManifestBranch {
  readonly id: string;
  readonly repository: string;
  /** Empty: the default branch of the repository. */
  readonly branch: string;
}

export function manifestBranch(repository: string, branch: string): ManifestBranch {
  return { id: sha256Hex(JSON.stringify([repository, branch])).slice(0, 32), repository, branch };
}

/** A write that somebody waits for. */
export interface WriteAsk {
  /** The same for the same operation on the same target. */
  readonly key: string;
  readonly branch: ManifestBranch;
  readonly target: string;
  readonly token: bigint;
  readonly request: WriteRequest;
}

export interface TakenWrite {
  readonly key: string;
  readonly request: WriteRequest;
  readonly firstAtMs: number;
  /** A newer hand works on its target by now. */
  readonly fenced: boolean;
}

export type WriteResult =
  | { readonly kind: 'written'; readonly commit: string }
  | { readonly kind: 'refused'; readonly problem: Problem };

export type WriteState = WriteResult | { readonly kind: 'waiting' };

/**
 * Puts it in line; asked again, it is in line again, with the date of the first asking. What a writer has taken stays with it,
 * dead or alive; but whoever takes it after that one finds the token of who asked last, which is none of before.
 */
export async function askWrite(
  db: Sql,
  { key, branch, target, token, request }: WriteAsk,
  wantedMs: number,
): Promise<void> {
  await sql`
    with branch as (
      insert into manifest_branch (id, repository, branch) values (${branch.id}, ${branch.repository}, ${branch.branch})
      on conflict (id) do nothing)
    insert into manifest_write (key, branch_id, target, token, request, wanted_until, state)
    values (${key}, ${branch.id}, ${target}, ${token.toString()}, ${json(request)}::jsonb,
      clock_timestamp() + ${wantedMs} * interval '1 ms', 'waiting')
    on conflict (key) do update set
      branch_id = excluded.branch_id, token = greatest(manifest_write.token, excluded.token), request = excluded.request,
      wanted_until = excluded.wanted_until, problem = null,
      state = case manifest_write.state when 'taken' then 'taken' else 'waiting' end,
      taken_by = case manifest_write.state when 'taken' then manifest_write.taken_by end`.execute(db);
}

/**
 * Puts in line those of which nothing is known, each of its own key.
 * @returns for each, whether it is in line: one that was asked before is to be asked again by `askWrite`
 */
export async function askNewWrites(db: Sql, asks: readonly WriteAsk[], wantedMs: number): Promise<readonly boolean[]> {
  const rows = asks.map(({ key, branch, target, token, request }) => ({
    key,
    branch_id: branch.id,
    repository: branch.repository,
    branch: branch.branch,
    target,
    token: token.toString(),
    request,
  }));
  const { rows: made } = await sql<{ key: string }>`
    with ask as materialized (
      select * from rows from (jsonb_to_recordset(${json(rows)}::jsonb) as (key text, branch_id text, repository text,
        branch text, target text, token bigint, request jsonb)) with ordinality as a (key, branch_id, repository, branch,
        target, token, request, at)),
    branch as (
      insert into manifest_branch (id, repository, branch) select distinct branch_id, repository, branch from ask
      on conflict (id) do nothing)
    insert into manifest_write (key, branch_id, target, token, request, wanted_until, state)
    select key, branch_id, target, token, request, clock_timestamp() + ${wantedMs} * interval '1 ms', 'waiting'
    from ask order by at
    on conflict (key) do nothing
    returning key`.execute(db);
  const inLine = new Set(made.map(({ key }) => key));
  return asks.map(({ key }) => inLine.has(key));
}

export async function stayWanted(db: Sql, key: string, wantedMs: number): Promise<void> {
  await sql`update manifest_write set wanted_until = clock_timestamp() + ${wantedMs} * interval '1 ms'
    where key = ${key}`.execute(db);
}

/** Nobody waits for it any more. @returns false when a writer has it already: how that ends has to be awaited */
export async function withdrawWrite(db: Sql, key: string): Promise<boolean> {
  const { rows } = await sql<{ state: string }>`
    update manifest_write set wanted_until = '-infinity' where key = ${key} returning state`.execute(db);
  return rows[0]?.state !== 'taken';
}

/** How long ago it was asked for first, in milliseconds; 0 for what never was. */
export async function askedSince(db: Sql, key: string): Promise<number> {
  const { rows } = await sql<{ ms: string | number }>`
    select extract(epoch from clock_timestamp() - first_at) * 1000 as ms from manifest_write where key = ${key}`.execute(
    db,
  );
  return Number(rows[0]?.ms ?? 0);
}

export async function writeState(db: Sql, key: string): Promise<WriteState> {
  const row = await db
    .selectFrom('manifest_write')
    .select(['state', 'commit_id', 'problem'])
    .where('key', '=', key)
    .executeTakeFirstOrThrow();
  if (row.state === 'written') return { kind: 'written', commit: row.commit_id ?? '' };
  if (row.state === 'refused') return { kind: 'refused', problem: row.problem as Problem }; // written by `finishWrites`
  return { kind: 'waiting' };
}

/** @returns whether the lease is the holder's now; it may take its own again */
export async function takeLease(db: Sql, branchId: string, holder: string, ttlMs: number): Promise<boolean> {
  const taken = await sql`
    update manifest_branch set holder = ${holder}, until = clock_timestamp() + ${ttlMs} * interval '1 ms'
    where id = ${branchId} and (holder is null or holder = ${holder} or until < clock_timestamp())`.execute(db);
  return (taken.numAffectedRows ?? 0n) > 0n;
}

export async function leaveLease(db: Sql, branchId: string, holder: string): Promise<void> {
  await db
    .updateTable('manifest_branch')
    .set({ holder: null, until: null })
    .where('id', '=', branchId)
    .where('holder', '=', holder)
    .execute();
}

/**
 * What was taken and has no end is in line again, for who has the lease now and begins: of a writer that lost it, and of this one,
 * where the database was away when it gave up.
 */
export async function putBackLeft(db: Sql, branchId: string, holder: string): Promise<void> {
  await sql`update manifest_write set state = 'waiting', taken_by = null
    where branch_id = ${branchId} and state = 'taken'
      and exists (select from manifest_branch where id = ${branchId} and holder = ${holder})`.execute(db);
}

/** Takes what waits, in the order of asking, under the lease. @returns where the branch was left as well, where something waits */
export async function takeWaiting(
  db: Sql,
  branchId: string,
  holder: string,
  most: number,
): Promise<{ readonly head: string | null; readonly writes: readonly TakenWrite[] }> {
  const { rows } = await sql<TakenRow>`
    with branch as (select head from manifest_branch where id = ${branchId} and holder = ${holder}),
    mine as (
      select key from manifest_write
      where branch_id = ${branchId} and state = 'waiting' and wanted_until > clock_timestamp() and exists (select from branch)
      order by number limit ${most} for update)
    update manifest_write as w set state = 'taken', taken_by = ${holder}
    from mine where mine.key = w.key
    returning w.key, w.request, w.first_at, w.number, (select head from branch) as head,
      exists (select from manifest_target t where t.target = w.target and t.token > w.token) as fenced`.execute(db);
  const inOrder = rows.toSorted((one, other) => Number(one.number) - Number(other.number));
  const writes = inOrder.map(({ key, request, first_at, fenced }) => ({
    key,
    request: WriteRequest.parse(request),
    firstAtMs: first_at.getTime(),
    fenced,
  }));
  return { head: rows[0]?.head ?? null, writes };
}

interface TakenRow {
  readonly key: string;
  readonly request: unknown;
  readonly first_at: Date;
  readonly number: string;
  readonly head: string | null;
  readonly fenced: boolean;
}

/** How many are in line. */
export async function countWaiting(db: Sql, branchId: string): Promise<number> {
  const { rows } = await sql<{ many: string | number }>`select count(*) as many from manifest_write
    where branch_id = ${branchId} and state = 'waiting' and wanted_until > clock_timestamp()`.execute(db);
  return Number(rows[0]?.many ?? 0);
}

/** Says how they ended, and where the branch is. What another writer took meanwhile is that one's. */
export async function finishWrites(
  db: Sql,
  branchId: string,
  holder: string,
  { head, results }: { readonly head: string | null; readonly results: ReadonlyMap<string, WriteResult> },
): Promise<void> {
  const ended = [...results].map(([key, result]) =>
    result.kind === 'written'
      ? { key, state: 'written', commit: result.commit, problem: null }
      : { key, state: 'refused', commit: null, problem: result.problem },
  );
  await sql`
    with branch as (update manifest_branch set head = coalesce(${head}, head) where id = ${branchId})
    update manifest_write as w set taken_by = null, state = e.state, commit_id = coalesce(e.commit, w.commit_id), problem = e.problem
    from jsonb_to_recordset(${json(ended)}::jsonb) as e(key text, state text, commit text, problem jsonb)
    where w.key = e.key and w.taken_by = ${holder}`.execute(db);
}

/** The way to the repository failed: they are in line again. */
export async function putBackWrites(db: Sql, branchId: string, holder: string): Promise<void> {
  await sql`update manifest_write set state = 'waiting', taken_by = null
    where branch_id = ${branchId} and taken_by = ${holder}`.execute(db);
}

/** Forgets what ended long ago. */
export async function forgetWrites(db: Sql, branchId: string, olderMs: number): Promise<void> {
  await sql`delete from manifest_write where branch_id = ${branchId} and state in ('written', 'refused', 'waiting')
    and wanted_until < clock_timestamp() - ${olderMs} * interval '1 ms'
    and first_at < clock_timestamp() - ${olderMs} * interval '1 ms'`.execute(db);
}
