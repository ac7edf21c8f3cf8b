import { type ChangedLines, differenceOf, type EntryDifference } from '../git/changed-lines.ts';
import type { Mirror } from '../git/mirror.ts';
import type { TreeEntry } from '../git/tree.ts';
import { repositoryById } from '../source/member-store.ts';
import type { House } from './house.ts';
import { treeOf } from './plan-artifacts.ts';
import { configAt } from './project-config.ts';
import { isTransient } from './transient.ts';

interface Part {
  readonly repositoryId: string;
  readonly commit: string;
  readonly service: string;
  /** Where it is at that commit. */
  readonly path: string;
}

/** What changed in the files of a service, and since when. */
export interface Changes {
  /** The commit that it is compared with; null when there is none, and all is new. */
  readonly since: string | null;
  /** What belongs to the question: the files that differ, and how. */
  readonly files: readonly (readonly [path: string, before: string | null, after: string | null])[];
  readonly lines: () => Promise<ChangedLines>;
}

/**
 * A release is compared with what the default branch had before its commit came to it: of a branch that is the commit it
 * left at, of a merge or a push all that came with it. A service that is as it was there is compared with what was before
 * its own last change, so that a commit that leaves it alone asks the same question, and has the same answer.
 */
export async function changesOf(house: House, part: Part): Promise<Changes> {
  const branch = await defaultBranchOf(house, part.repositoryId);
  const key = [branch.head, part.repositoryId, part.commit, part.service].join(' ');
  const known = found.get(house) ?? new Map<string, Promise<Changes>>();
  found.set(house, known);
  const changes = known.get(key) ?? changesSince(house, part, branch);
  known.delete(key);
  known.set(key, changes);
  changes.catch(() => known.delete(key));
  const [oldest] = known.keys();
  if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  return changes;
}

/** Gates look at the same releases again and again, and while the branch stays where it is the answer does. */
const KEPT = 200;
const found = new WeakMap<House, Map<string, Promise<Changes>>>();

async function changesSince(house: House, part: Part, branch: DefaultBranch): Promise<Changes> {
  const mirror = await house.mirrorOf(part.repositoryId);
  const now = await folderAt(house, part, part.commit);
  let since = await cameUpon(house, mirror, branch, part.commit);
  for (let step = 0; step < FARTHEST; step++) {
    const before = since === null ? NOTHING : await folderAt(house, part, since);
    const differs = differenceOf(before.entries, now.entries);
    if (differs.length > 0 || since === null)
      return {
        since,
        files: differs.map((one) => [one.path, idOf(one.before), idOf(one.after)]),
        lines: async () => (now.tree === null ? new Map() : mirror.changedLines(before.tree, now.tree)),
      };
    const [last] = await mirror.log({ to: since, paths: now.paths, firstParent: true, limit: 1 });
    since = last === undefined ? null : await cameUpon(house, mirror, branch, last.sha);
  }
  return { since, files: [], lines: async () => new Map() };
}

/** More steps are taken only by commits that changed nothing but towpath.yaml, one after the other. */
const FARTHEST = 20;

interface Folder {
  readonly paths: readonly string[];
  readonly tree: string | null;
  readonly entries: readonly TreeEntry[];
}

const NOTHING: Folder = { paths: [], tree: null, entries: [] };

/** The service's folder is where the commit itself says that it is. */
async function folderAt(house: House, { repositoryId, service, path: own }: Part, commit: string): Promise<Folder> {
  const mirror = await house.mirrorOf(repositoryId);
  await mirror.ensure(commit);
  const config = await configAt(house, repositoryId, commit).catch((error: unknown) => {
    if (isTransient(error)) throw error;
    return null;
  });
  const path = config === null ? own : config.services[service]?.path;
  if (path === undefined) return NOTHING;
  const inside = path === '.' ? '' : path;
  const found = await mirror.entry(commit, inside);
  if (found?.mode !== '040000') return NOTHING;
  const { entries } = await treeOf(house, repositoryId, commit, { path });
  return { paths: inside === '' ? [] : [inside], tree: found.oid, entries };
}

interface DefaultBranch {
  readonly repositoryId: string;
  readonly ref: string;
  readonly head: string | null;
}

async function defaultBranchOf(house: House, repositoryId: string): Promise<DefaultBranch> {
  const { defaultBranch } = await repositoryById(house.store.db, repositoryId);
  const ref = `refs/heads/${defaultBranch}`;
  const row = await house.store.db
    .selectFrom('ref')
    .select('commit_sha')
    .where('repository_id', '=', repositoryId)
    .where('name', '=', ref)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return { repositoryId, ref, head: row?.commit_sha ?? null };
}

/** What the default branch had before it had this commit; null when they share no history, or there was nothing. */
async function cameUpon(house: House, mirror: Mirror, branch: DefaultBranch, commit: string): Promise<string | null> {
  const { head } = branch;
  const [parent = null] = (await mirror.commit(commit)).parents;
  if (head === null) return parent;
  await mirror.ensure(head);
  const holding = await mirror.broughtBy(commit, head);
  const [brought] = holding;
  if (brought === undefined && commit !== head) return mirror.mergeBase(commit, head);
  const [beside = null] = brought === undefined ? [commit] : (await mirror.commit(brought)).parents;
  const isOnIt = beside === commit;
  const before = await headBefore(house, branch, isOnIt ? [commit, ...holding] : holding);
  if (before !== null) {
    await mirror.ensure(before);
    const upon = await mirror.mergeBase(commit, before);
    if (upon !== commit) return upon;
  }
  if (isOnIt || beside === null) return parent; // nobody saw it come
  return mirror.mergeBase(commit, beside);
}

/** Commits of a branch that are looked through for the one with which they were pushed. */
const MOST_PUSHED = 5000;

/** Where the branch was before the push that brought the first of these commits. */
async function headBefore(
  house: House,
  { repositoryId, ref }: DefaultBranch,
  commits: readonly string[],
): Promise<string | null> {
  const pushed = commits.slice(0, MOST_PUSHED);
  const rows = await house.store.db
    .selectFrom('ref_event')
    .select(['before_sha', 'after_sha'])
    .where('repository_id', '=', repositoryId)
    .where('ref', '=', ref)
    .where('after_sha', 'in', pushed)
    .where('kind', 'in', ['created', 'moved', 'forced'])
    .orderBy('seen_at')
    .orderBy('id')
    .execute();
  const first = pushed.find((sha) => rows.some(({ after_sha: after }) => after === sha));
  return rows.find(({ after_sha: after }) => after === first)?.before_sha ?? null;
}

function idOf(entry: EntryDifference['before']): string | null {
  return entry === null ? null : `${entry.mode} ${entry.oid}`;
}
