import { sql } from 'kysely';

import { environmentById } from '../../environment/environment-store.ts';
import { environmentOf } from '../../environment/place.ts';
import { channelOf } from '../../notify/channels.ts';
import { keyOf, type Notice } from '../../notify/notice.ts';
import { lockCursor, moveCursor, standingPromotions, wantNotice } from '../../notify/notice-store.ts';
import { type Link, linkTo, planBuildNotice, planDeploymentNotice, type PromotionFacts } from '../../notify/plan.ts';
import { eventsOf, type Promotion, promotionById } from '../../path/promotion-store.ts';
import { isWorking } from '../../path/promotion.ts';
import type { Release } from '../../release/release.ts';
import { releaseById } from '../../release/release-store.ts';
import { hostOf } from '../../source/hosts.ts';
import type { Tx } from '../../store/database.ts';
import { lastEventId, readEvents, type StoredEvent } from '../../store/event-store.ts';
import { attemptEachIn } from '../care/attempt.ts';
import type { House } from '../house.ts';

/** A repository whose host is told something. */
interface Teller {
  readonly id: string;
  readonly defaultBranch: string;
  readonly deployments: boolean;
  readonly link: Link;
}

/**
 * Reads what happened since the last look, and puts into the outbox what hosts should show. An event says only that there is
 * something to look at; what is told is what is true now. The outbox and the place in the events move together, so that
 * nothing is lost or wanted twice.
 */
export async function collectNotices(house: House): Promise<void> {
  while (await house.store.transaction((tx) => collectPage(house, tx)));
}

/** @returns whether there may be more */
async function collectPage(house: House, tx: Tx): Promise<boolean> {
  const cursor = await lockCursor(tx);
  if (cursor === null) return false;
  const tellers = await tellersOf(tx, house.settings.page);
  const events = tellers.size === 0 ? [] : await readEvents(tx, cursor);
  const last = tellers.size === 0 ? await lastEventId(tx) : (events.at(-1)?.id ?? cursor);
  const looks = looksAt(events.filter(({ projectId }) => projectId !== null && tellers.has(projectId)));
  await attemptEachIn(tx, house.log, looks, 'what a git host is told', ({ projectId, ...look }) =>
    lookAt(house, tx, tellers.get(projectId ?? '') ?? [], look),
  );
  if (last > cursor) await moveCursor(tx, last);
  return events.length > 0;
}

async function tellersOf(tx: Tx, page: string): Promise<Map<string, Teller[]>> {
  const rows = await tx
    .selectFrom('repository')
    .innerJoin('project', 'project.id', 'repository.project_id')
    .select(['repository.id', 'project_id', 'url', 'host', 'default_branch', 'project.name'])
    .where('notices', 'is not', null)
    .execute();
  const tellers = new Map<string, Teller[]>();
  for (const row of rows) {
    const channel = channelOf(hostOf(row.url, row.host).name);
    if (channel === null) continue;
    const { deployments } = channel;
    const teller = { id: row.id, defaultBranch: row.default_branch, deployments, link: linkTo(page, row.name) };
    tellers.set(row.project_id, [...(tellers.get(row.project_id) ?? []), teller]);
  }
  return tellers;
}

type Look = Pick<StoredEvent, 'id' | 'projectId' | 'kind' | 'subject'>;

/** Each thing once, by the newest event about it. */
function looksAt(events: readonly StoredEvent[]): Look[] {
  const nouns = events
    .map(({ id, projectId, kind, subject }) => ({ id, projectId, kind: kind.split('.')[0] ?? '', subject }))
    .filter(({ kind }) => kind === 'release' || kind === 'promotion' || kind === 'environment');
  return [...new Map(nouns.map((look) => [`${look.kind} ${look.subject}`, look])).values()];
}

async function lookAt(
  house: House,
  tx: Tx,
  tellers: readonly Teller[],
  { id, kind, subject }: Omit<Look, 'projectId'>,
): Promise<void> {
  const want = async (repositoryId: string, notice: Notice | null, environmentId: string | null): Promise<void> => {
    const teller = tellers.find((one) => one.id === repositoryId);
    if (teller === undefined || notice === null) return;
    const wish = { repositoryId, key: keyOf(notice, teller), environmentId, eventId: id, notice };
    await wantNotice(tx, wish, house.clock.now());
  };
  const wantPromotion = async (promotion: Promotion | null): Promise<void> => {
    if (promotion === null) return;
    const release = await releaseById(tx, promotion.releaseId);
    const teller = tellers.find((one) => one.id === release?.repositoryId);
    if (release === null || teller === undefined) return;
    const facts = await promotionFacts(tx, promotion, release, teller);
    await want(teller.id, planDeploymentNotice(facts, teller.link), promotion.environmentId);
  };
  if (kind === 'release') return wantBuild(tx, tellers, subject, want);
  const promotion = kind === 'promotion' ? await promotionById(tx, subject) : null;
  await wantPromotion(promotion);
  // another release may run there now, or nothing
  for (const standing of await standingPromotions(tx, promotion?.environmentId ?? subject))
    if (standing !== promotion?.id) await wantPromotion(await promotionById(tx, standing));
}

/** A mix is no commit's; of a commit with several editions the newest counts. */
async function wantBuild(
  tx: Tx,
  tellers: readonly Teller[],
  releaseId: string,
  want: (repositoryId: string, notice: Notice, environmentId: null) => Promise<void>,
): Promise<void> {
  const about = await releaseById(tx, releaseId);
  const teller = tellers.find((one) => one.id === about?.repositoryId);
  if (about === null || about.mixed || teller === undefined) return;
  const newest = await tx
    .selectFrom('release')
    .select('id')
    .where('repository_id', '=', about.repositoryId)
    .where('commit_sha', '=', about.commit)
    .where('mixed', '=', false)
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst();
  const release = (await releaseById(tx, newest?.id ?? about.id)) ?? about;
  const services = release.services.filter(({ isBase }) => !isBase);
  const facts = { ...release, services, ref: await refOf(tx, release, teller) };
  await want(teller.id, planBuildNotice(facts, teller.link), null);
}

async function promotionFacts(tx: Tx, promotion: Promotion, release: Release, teller: Teller): Promise<PromotionFacts> {
  const environment = await environmentById(tx, promotion.environmentId);
  const current = environment.removedAt === null ? environment.currentPromotionId : null;
  const events = promotion.endedAt === null ? [] : await eventsOf(tx, promotion.id);
  return {
    id: promotion.id,
    number: promotion.number,
    kind: promotion.kind,
    state: promotion.state,
    detail: promotion.detail,
    release: {
      commit: release.commit,
      number: release.number,
      ref: promotion.refs[0] ?? (await refOf(tx, release, teller)),
    },
    environment: { name: environmentOf(environment.name), preview: environment.previewBranch !== null },
    begun: events.some(({ to }) => isWorking(to)),
    runs: current === null ? 'nothing' : current === promotion.id ? 'this' : 'other',
    url: await urlOf(tx, environment.id),
  };
}

/** The name that was given last; a commit that has none is told of under the default branch. */
async function refOf(tx: Tx, { id }: Pick<Release, 'id'>, { defaultBranch }: Teller): Promise<string> {
  const row = await tx
    .selectFrom('release_name')
    .select('ref')
    .where('release_id', '=', id)
    .orderBy('named_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.ref ?? `refs/heads/${defaultBranch}`;
}

/** Hosts show one address per environment: that of the first service that has one. */
async function urlOf(tx: Tx, environmentId: string): Promise<string | null> {
  const { rows } = await sql<{ url: string }>`
    select url from deployment where environment_id = ${environmentId} and url is not null
    order by service limit 1`.execute(tx);
  return rows[0]?.url ?? null;
}
