import { z } from 'zod';

import { type EnvironmentRow, environmentById } from '../../environment/environment-store.ts';
import { environmentOf } from '../../environment/place.ts';
import { pullNumber, shortRef } from '../../git/ref.ts';
import { peopleOf } from '../../path/gates/approvals.ts';
import { type Promotion, promotionById } from '../../path/promotion-store.ts';
import type { PromotionDetail } from '../../path/promotion.ts';
import type { Brought, MessagePlace } from '../../notify/message.ts';
import { templateOf } from '../../notify/notify-channel.ts';
import type { Link } from '../../notify/plan.ts';
import {
  type Draft,
  planBuildMessage,
  planPromotionMessage,
  planRevokedMessage,
  planYankMessage,
  type PromotionNews,
} from '../../notify/plan-message.ts';
import { nameOf, type Release } from '../../release/release.ts';
import { namesOf, recordedNamesOf, releaseById } from '../../release/release-store.ts';
import { repositoryById } from '../../source/member-store.ts';
import type { StoredEvent } from '../../store/event-store.ts';
import { commitsBrought, definitionOf } from '../gather.ts';
import type { House } from '../house.ts';

/** So many commits are named; of a release that has nothing before it, its newest alone. */
const COMMITS_NAMED = 20;

export interface Place {
  readonly project: string;
  readonly link: Link;
  readonly roles: Readonly<Record<string, readonly string[]>>;
}

/** What of an event people are told. What is told of it never changes: it is read from the event, and from what stays as it is. */
export async function newsOf(house: House, event: StoredEvent, place: Place): Promise<Draft | null> {
  switch (event.kind) {
    case 'promotion.failed':
    case 'promotion.rolled-back':
    case 'promotion.live':
    case 'promotion.waiting':
      return promotionNews(house, event, place);
    case 'release.failed':
      return buildNews(house, event, place, 'failed');
    case 'release.ready':
      return buildNews(house, event, place, 'ready');
    case 'release.cut': {
      const { state } = event.data; // what was built, or failed, before
      return state === 'failed' || state === 'ready' ? buildNews(house, event, place, state) : null;
    }
    case 'release.yanked':
      return yankNews(house, event, place);
    case 'environment.revoked':
    case 'environment.cleared':
      return revokedNews(house, event, place);
    default:
      return null;
  }
}

async function promotionNews(house: House, event: StoredEvent, place: Place): Promise<Draft | null> {
  const { db } = house.store;
  const promotion = await promotionById(db, event.subject);
  const release = promotion === null ? null : await releaseById(db, promotion.releaseId);
  if (promotion === null || release === null) return null;
  const state = event.kind.slice('promotion.'.length) as PromotionNews['promotion']['state'];
  const detail = (event.data['detail'] ?? {}) as PromotionDetail; // written by `move` alone
  const asks = (detail.reasons ?? []).some(({ gate }) => gate === 'approvals');
  if (state === 'waiting' && !asks) return null;
  const environment = await environmentById(db, promotion.environmentId);
  const gates = definitionOf(environment).gates.filter((gate) => gate.kind === 'approvals');
  return planPromotionMessage({
    ...(await common(house, event, place, release, await ranBefore(house, promotion))),
    promotion: { ...promotion, state, detail },
    environment: { id: environment.id, name: environment.name },
    place: placeOf(environment),
    approvers: [...new Set(gates.flatMap((gate) => peopleOf(gate, place)))],
  });
}

export function placeOf({ name, previewBranch, previewRef }: EnvironmentRow): MessagePlace {
  return {
    environment: templateOf(environmentOf(name), previewBranch),
    preview: previewBranch !== null,
    branches: [],
    ofStrangers: previewRef !== null && pullNumber(previewRef) !== null,
  };
}

/** The last good one: what ran when the promotion began its work. */
async function ranBefore({ store }: House, { previousReleaseId }: Promotion): Promise<Release | null> {
  return previousReleaseId === null ? null : releaseById(store.db, previousReleaseId);
}

async function buildNews(
  house: House,
  event: StoredEvent,
  place: Place,
  state: 'failed' | 'ready',
): Promise<Draft | null> {
  const { db } = house.store;
  const release = await releaseById(db, event.subject);
  if (release === null || release.mixed) return null;
  const { defaultBranch } = await repositoryById(db, release.repositoryId);
  const names = (await recordedNamesOf(db, [release.id])).get(release.id) ?? [];
  const branches = names.filter((ref) => ref.startsWith('refs/heads/')).map(shortRef);
  return planBuildMessage({
    ...(await common(house, event, place, release, await builtBefore(house, release))),
    releaseId: release.id,
    repositoryId: release.repositoryId,
    state,
    problem: release.problem,
    branches: branches.toSorted((one, other) => Number(other === defaultBranch) - Number(one === defaultBranch)),
  });
}

/** The newest release before it that was built and whose commit it holds. */
async function builtBefore(house: House, release: Release): Promise<Release | null> {
  const { db } = house.store;
  const before = await db
    .selectFrom('release')
    .select(['id', 'commit_sha'])
    .where('repository_id', '=', release.repositoryId)
    .where('state', '=', 'ready')
    .where('mixed', '=', false)
    .where('number', '<', release.number)
    .orderBy('number', 'desc')
    .limit(20)
    .execute();
  const mirror = await house.mirrorOf(release.repositoryId);
  for (const { id, commit_sha: commit } of before)
    if (await mirror.isAncestor(commit, release.commit).catch(() => false)) return releaseById(db, id);
  return null;
}

async function yankNews(house: House, event: StoredEvent, place: Place): Promise<Draft | null> {
  const { db } = house.store;
  const release = await releaseById(db, event.subject);
  if (release === null) return null;
  const runs = await db
    .selectFrom('environment')
    .innerJoin('release', 'release.id', 'environment.current_release_id')
    .select('environment.name')
    .where('environment.project_id', '=', release.projectId)
    .where('environment.removed_at', 'is', null)
    .where('release.fingerprint', '=', release.fingerprint)
    .orderBy('environment.position')
    .execute();
  const { by, reason } = event.data as { by?: string; reason?: string };
  return planYankMessage({
    ...(await common(house, event, place, release, release.mixed ? null : await builtBefore(house, release))),
    eventId: event.id,
    by: by ?? 'Somebody',
    reason: sentence(reason ?? 'without a reason'),
    runsIn: runs.map(({ name }) => name),
  });
}

/** Each environment has its event; what they say of the others makes one message of them. */
async function revokedNews(house: House, event: StoredEvent, place: Place): Promise<Draft | null> {
  const { db } = house.store;
  const told = Revoked.safeParse(event.data);
  const release = told.success ? await releaseById(db, told.data.release) : null;
  if (!told.success || release === null) return null; // of an older version
  const { release: _id, environments: ids, ...answer } = told.data;
  const all = (await Promise.all(ids.map((id) => environmentById(db, id)))).toSorted(
    (one, other) => one.position - other.position,
  );
  const stay = all.filter(({ previewBranch }) => previewBranch === null);
  const runsIn = stay.length > 0 ? stay : all;
  const [first, ...beside] = runsIn.map(placeOf);
  if (first === undefined) return null;
  return planRevokedMessage({
    ...(await common(house, event, place, release, release.mixed ? null : await builtBefore(house, release))),
    ...answer,
    runsIn: runsIn.map(({ name }) => name),
    place: { ...first, beside: beside.flatMap(({ environment }) => environment ?? []) },
  });
}

/** Written by `revoke`. */
const Revoked = z.object({
  release: z.string(),
  check: z.string(),
  service: z.string(),
  digest: z.string(),
  verdict: z.enum(['passed', 'failed', 'error']),
  summary: z.string(),
  evidence: z.string(),
  environments: z.array(z.string()),
});

async function common(
  house: House,
  { at }: StoredEvent,
  { project, link }: Place,
  release: Release,
  before: Release | null,
) {
  const names = await namesOf(house.store.db, [release.id, ...(before === null ? [] : [before.id])]);
  const called = (one: Release): string => nameOf(one, names.get(one.id) ?? []);
  return {
    project,
    at,
    link,
    release: { number: release.number, name: called(release), commit: release.commit },
    commits: await broughtBy(house, before, release, before === null ? null : called(before)),
  };
}

/** History that cannot be read holds up no message. */
async function broughtBy(
  house: House,
  before: Release | null,
  release: Release,
  since: string | null,
): Promise<Brought> {
  const commits = await commitsBrought(house, before, release).catch((error: unknown) => {
    house.log.warn({ err: error }, 'a message names no commits');
    return [];
  });
  return {
    since,
    newest: commits.slice(0, COMMITS_NAMED).map(({ sha, subject, authorName, authorEmail }) => ({
      sha,
      subject,
      author: { name: authorName, email: authorEmail },
    })),
    more: Math.max(0, commits.length - COMMITS_NAMED),
  };
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
