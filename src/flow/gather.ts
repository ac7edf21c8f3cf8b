import { circumstancesOf } from './circumstances.ts';
import { contractFacts } from './contract-facts.ts';
import { evidenceFor } from './evidence-for.ts';
import { rulingConfig } from '../config/config-store.ts';
import { type EnvironmentRow, environmentById, environmentsOf } from '../environment/environment-store.ts';
import { ranFor, tenuresOf } from '../environment/tenure-store.ts';
import type { CommitInfo } from '../git/commit.ts';
import { TowpathError } from '../lib/error.ts';
import type { GitIdentity, Order, PredecessorFacts, PromotionFacts, UnchangedFacts } from '../path/facts.ts';
import { orderOf, orderOfEditions } from '../path/order.ts';
import type { PathEnvironment } from '../path/path.ts';
import { approvalsOf } from '../path/approval-store.ts';
import { failureHere } from '../path/promotion-list-store.ts';
import { type Promotion } from '../path/promotion-store.ts';
import { nameOf, type Release, reportsWanted, spansBetween } from '../release/release.ts';
import { namesOf, readyNear, releaseById } from '../release/release-store.ts';
import { branchFilter } from '../source/ref-filter.ts';
import { commitsOf } from '../source/commit-store.ts';
import { repositoryById } from '../source/member-store.ts';
import type { House } from './house.ts';
import { mergeFacts } from './merge-facts.ts';
import { decideWhetherUnchanged } from '../path/unchanged.ts';

export interface Gathered {
  readonly facts: PromotionFacts;
  readonly definition: PathEnvironment;
  readonly isPreview: boolean;
  /** What ran when the facts were gathered: the decision holds only while that stays so. */
  readonly currentReleaseId: string | null;
  /** What it would run under, as a hash. */
  readonly circumstances: string;
}

/** A wish as far as a decision needs it: of a stored promotion, or of a dry run. */
export type Wish = Pick<Promotion, 'kind' | 'automatic' | 'requestedBy' | 'environmentId'> & {
  readonly id: string | null;
};

/**
 * Puts together all that a promotion is decided from. Reads only.
 * @param release of a dry run perhaps a mix that nobody has made yet
 */
export async function gather(house: House, wish: Wish, release: Release): Promise<Gathered> {
  const { db } = house.store;
  const environment = await environmentById(db, wish.environmentId);
  const ruling = await rulingConfig(db, environment.projectId);
  if (ruling === null) {
    throw new TowpathError({
      code: 'path.unknown',
      what: 'The path of this project was never read.',
      fix: '`towpath project list` says why.',
    });
  }
  const definition = definitionOf(environment);
  const isPreview = environment.previewBranch !== null;
  const current = environment.currentReleaseId === null ? null : await releaseById(db, environment.currentReleaseId);
  const names = await namesOf(db, [release.id, ...(current === null ? [] : [current.id])]);
  const checks = definition.gates.flatMap((gate) => (gate.kind === 'check' ? [gate.name] : []));
  const circumstances = await circumstancesOf(house, definition, release);
  const facts: PromotionFacts = {
    now: house.clock.now(),
    promotion: {
      kind: wish.kind === 'rollback' ? 'rollback' : 'promotion',
      automatic: wish.automatic,
      requestedBy: wish.requestedBy,
    },
    environment: {
      name: environment.name,
      accepts: definition.accepts,
      from: definition.from,
      gates: definition.gates,
      hold: environment.hold,
    },
    release: {
      name: nameOf(release, names.get(release.id) ?? []),
      state: release.state,
      problem: release.problem?.what ?? reportsWanted(release.services)[0]?.what ?? null,
      mixed: release.mixed,
      yanked: release.yank?.reason ?? null,
      nearest: release.state === 'ready' ? [] : await readyNear(db, release, 3),
    },
    order: await orderBetween(house, environment, current, release),
    currentName: current === null ? null : nameOf(current, names.get(current.id) ?? []),
    predecessors: await predecessorsOf(house, environment, definition.from, release),
    protectedBranch: ruling.defaultBranch,
    evidence: await evidenceFor(house, release, checks, !isPreview),
    contracts: await contractFacts(house, environment, definition, release),
    approvals:
      wish.id === null
        ? []
        : (await approvalsOf(db, wish.id)).map(({ at, circumstances: its, ...voice }) => ({
            ...voice,
            at: at.getTime(),
            forThis: its === circumstances,
          })),
    roles: ruling.config.roles,
    users: ruling.config.users,
    ...(await handsIn(house, current ?? (await ranLast(house, environment)), release)),
    failedHere: await failureHere(db, environment.id, release.fingerprint, circumstances),
    unchanged: await unchangedFor(
      house,
      environment,
      definition,
      release,
      nameOf(release, names.get(release.id) ?? []),
    ),
  };
  return { facts, definition, isPreview, currentReleaseId: environment.currentReleaseId, circumstances };
}

/** Written by `syncEnvironments` and `ensurePreview` alone, from a parsed configuration. */
export function definitionOf(environment: Pick<EnvironmentRow, 'definition'>): PathEnvironment {
  return environment.definition as PathEnvironment;
}

/** For the gate of that name; whoever has none is not looked at. */
export async function unchangedFor(
  house: House,
  environment: EnvironmentRow,
  definition: PathEnvironment,
  release: Release,
  name: string,
): Promise<UnchangedFacts> {
  if (!definition.gates.some(({ kind }) => kind === 'unchanged')) return { kind: 'same' };
  const { defaultBranch } = await repositoryById(house.store.db, release.repositoryId);
  const target = targetOf(definition, defaultBranch);
  return decideWhetherUnchanged(await mergeFacts(house, release, { name, environmentId: environment.id, target }));
}

/** The branches that are merged to: what only they had was tested on no branch. */
function targetOf({ on }: PathEnvironment, defaultBranch: string): (ref: string) => boolean {
  const merged = on.kind === 'merge' ? branchFilter(on.pattern) : () => false;
  return (ref) => ref === `refs/heads/${defaultBranch}` || merged(ref);
}

export async function orderBetween(
  house: House,
  { previewRef }: EnvironmentRow,
  current: Release | null,
  release: Release,
): Promise<Order> {
  if (current === null) return orderOf(null);
  // the address of a member was changed: nothing is known of both
  if (current.repositoryId !== release.repositoryId) return 'diverged';
  if (current.commit === release.commit) return orderOfEditions(current.edition, release.edition);
  if (previewRef !== null && (await isHead(house, release, previewRef))) return 'newer';
  const mirror = await house.mirrorOf(release.repositoryId);
  const commits = await commitsOf(house.store.db, release.repositoryId, [current.commit, release.commit]);
  const order = orderOf({
    currentIsAncestor: await mirror.isAncestor(current.commit, release.commit),
    releaseIsAncestor: await mirror.isAncestor(release.commit, current.commit),
    currentPosition: commits.get(current.commit)?.position ?? null,
    releasePosition: commits.get(release.commit)?.position ?? null,
  });
  // a preview follows its branch, also where that was rewritten: what the branch has left behind is old there
  return previewRef !== null && order === 'diverged' ? 'older' : order;
}

async function isHead({ store }: House, release: Release, ref: string): Promise<boolean> {
  const row = await store.db
    .selectFrom('ref')
    .select('commit_sha')
    .where('repository_id', '=', release.repositoryId)
    .where('name', '=', ref)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return row?.commit_sha === release.commit;
}

export async function predecessorsOf(
  house: House,
  environment: EnvironmentRow,
  from: readonly string[],
  release: Release,
  at?: Date,
): Promise<PredecessorFacts[]> {
  if (from.length === 0) return [];
  const all = await environmentsOf(house.store.db, environment.projectId);
  return Promise.all(
    from.map(async (name) => {
      const predecessor = all.find((one) => one.name === name);
      const ran =
        predecessor === undefined ? null : await ranFor(house.store.db, predecessor.id, release.fingerprint, at);
      return { name, ranMs: ran?.ranMs ?? null, runsNow: ran?.runsNow ?? false };
    }),
  );
}

/** Of an environment that was emptied: what is new there is new beyond that. */
async function ranLast({ store }: House, { id }: EnvironmentRow): Promise<Release | null> {
  const [last] = await tenuresOf(store.db, id, 1);
  return last === undefined ? null : releaseById(store.db, last.releaseId);
}

/** What a release brings beyond what runs, in each of its parts, the newest first; at least its own commit. */
export async function commitsBrought(
  house: Pick<House, 'mirrorOf'>,
  current: Release | null,
  release: Release,
): Promise<CommitInfo[]> {
  const mirror = await house.mirrorOf(release.repositoryId);
  const before = current?.repositoryId === release.repositoryId ? current : null;
  const spans = await Promise.all(
    spansBetween(before, release).map(async ({ from, to }) => {
      const brought = from === null || from === to ? [] : await mirror.log({ from, to, limit: COMMITS_LOOKED_AT });
      return brought.length === 0 ? mirror.log({ to, limit: 1 }) : brought;
    }),
  );
  return spans.flat();
}

/** Who has a hand in that. */
export async function handsIn(
  house: House,
  current: Release | null,
  release: Release,
): Promise<Pick<PromotionFacts, 'authors' | 'committers'>> {
  const commits = await commitsBrought(house, current, release);
  return {
    authors: eachOnce(commits.map(({ authorName, authorEmail }) => ({ name: authorName, email: authorEmail }))),
    committers: eachOnce(
      commits.map(({ committerName, committerEmail }) => ({ name: committerName, email: committerEmail })),
    ),
  };
}

function eachOnce(identities: readonly GitIdentity[]): GitIdentity[] {
  return [...new Map(identities.map((one) => [JSON.stringify([one.name, one.email]), one])).values()];
}

const COMMITS_LOOKED_AT = 1000;
