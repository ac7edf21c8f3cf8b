import { missingImages } from '../../environment/missing-image-store.ts';
import { type EnvironmentRow } from '../../environment/environment-store.ts';
import { environmentOf, memberOf } from '../../environment/place.ts';
import { revokedIn } from '../../environment/revoked-store.ts';
import { tenuresOf } from '../../environment/tenure-store.ts';
import type { Digest } from '../../lib/digest.ts';
import { TowpathError } from '../../lib/error.ts';
import { headline } from '../../path/headline.ts';
import { lastEnded, leftStanding, openPromotions } from '../../path/promotion-list-store.ts';
import { type Promotion, promotionById } from '../../path/promotion-store.ts';
import { planRollback, type RollbackTarget, type TenureFacts } from '../../path/rollback.ts';
import type { ReleaseHead, ReleaseService } from '../../release/release.ts';
import { namesOf, releaseHeads, servicesOf } from '../../release/release-store.ts';
import { commitsOf, type CommitRow } from '../../source/commit-store.ts';
import type { Sql } from '../../store/database.ts';
import type { EnvironmentView } from '../view/environment.ts';
import type { PromotionView, ReasonView } from '../view/promotion.ts';
import type { ReleaseBrief, ReleaseView } from '../view/release.ts';
import { isWorking, type PromotionDetail } from '../../path/promotion.ts';

/** Everything that briefs of releases are made from, read in a few queries whatever their number. */
export async function briefsOf(
  db: Sql,
  ids: readonly string[],
): Promise<Map<string, ReleaseBrief & { release: ReleaseHead; author: string }>> {
  const releases = await releaseHeads(db, [...new Set(ids)]);
  // only a mix is called by its parts
  const parts = await servicesOf(
    db,
    releases.filter(({ mixed }) => mixed).map(({ id }) => id),
  );
  const names = await namesOf(
    db,
    releases.map(({ id }) => id),
  );
  const commits = new Map<string, CommitRow>();
  for (const repositoryId of new Set(releases.map((release) => release.repositoryId))) {
    const shas = releases.filter((release) => release.repositoryId === repositoryId).map(({ commit }) => commit);
    for (const [sha, commit] of await commitsOf(db, repositoryId, shas)) commits.set(sha, commit);
  }
  return new Map(
    releases.map((release) => {
      const commit = commits.get(release.commit);
      return [
        release.id,
        {
          id: release.id,
          number: release.number,
          commit: release.commit,
          subject: release.mixed ? mixSubject(release, parts.get(release.id) ?? []) : subjectOf(release, commit),
          names: (names.get(release.id) ?? []).map(shortRef),
          yanked: release.yank !== null,
          release,
          author: release.edition > 1 ? release.createdBy : (commit?.authorName ?? release.createdBy),
        },
      ];
    }),
  );
}

function subjectOf({ edition }: ReleaseHead, commit: CommitRow | undefined): string {
  return `${commit?.subject ?? ''}${edition > 1 ? ` (edition ${edition}: base images refreshed)` : ''}`;
}

function mixSubject(release: ReleaseHead, services: readonly ReleaseService[]): string {
  const parts = services
    .filter(({ commit }) => commit !== release.commit)
    .map(({ service, commit }) => `${service} of ${commit.slice(0, 7)}`);
  return `mix: ${parts.join(', ')}`;
}

function shortRef(ref: string): string {
  return ref.replace(/^refs\/(heads|tags)\//, '');
}

export function briefOf({ id, number, commit, subject, names, yanked }: ReleaseBrief): ReleaseBrief {
  return { id, number, commit, subject, names, yanked };
}

export async function releaseViews(db: Sql, ids: readonly string[]): Promise<ReleaseView[]> {
  const briefs = await briefsOf(db, ids);
  const services = await servicesOf(db, ids);
  return ids.flatMap((id) => {
    const brief = briefs.get(id);
    if (brief === undefined) return [];
    const { release, author } = brief;
    return [
      {
        ...briefOf(brief),
        state: release.state,
        mixed: release.mixed,
        author,
        createdAt: release.createdAt.toISOString(),
        problem: release.problem,
        yank: yankView(release),
        services: (services.get(id) ?? []).map(({ service, commit, key, state, digest, builtFor, logId }) => ({
          service,
          commit,
          key,
          state,
          digest,
          reused: builtFor !== commit,
          logId,
        })),
      },
    ];
  });
}

function yankView({ yank }: Pick<ReleaseHead, 'yank'>): ReleaseView['yank'] {
  return yank === null ? null : { reason: yank.reason, by: yank.by, at: yank.at.toISOString() };
}

/** @param of its id, or the promotion as it was read: then all that is said of it is of that moment */
export async function promotionView(db: Sql, of: string | Promotion): Promise<PromotionView> {
  const promotion = typeof of === 'string' ? await promotionById(db, of) : of;
  const [view] = await promotionViews(db, promotion === null ? [] : [promotion]);
  if (view !== undefined) return view;
  throw new TowpathError({
    code: 'promotion.unknown',
    what: 'That promotion is gone.',
    fix: '`towpath status` shows those under way.',
  });
}

/** @param known the briefs of their releases, where they were read already */
export async function promotionViews(
  db: Sql,
  promotions: readonly Promotion[],
  known?: ReadonlyMap<string, ReleaseBrief>,
): Promise<PromotionView[]> {
  if (promotions.length === 0) return [];
  const ids = promotions.map(({ releaseId }) => releaseId);
  const briefs = known ?? (await briefsOf(db, ids));
  const places = await db
    .selectFrom('environment')
    .innerJoin('project', 'project.id', 'environment.project_id')
    .select(['environment.id', 'environment.name', 'project.name as project'])
    .where('environment.id', 'in', [...new Set(promotions.map(({ environmentId }) => environmentId))])
    .execute();
  const placeById = new Map(places.map((place) => [place.id, place]));
  return promotions.flatMap((promotion) => {
    const brief = briefs.get(promotion.releaseId);
    const place = placeById.get(promotion.environmentId);
    if (brief === undefined || place === undefined) return [];
    return [
      {
        id: promotion.id,
        number: promotion.number,
        kind: promotion.kind,
        project: place.project,
        environment: place.name,
        release: briefOf(brief),
        state: promotion.state,
        automatic: promotion.automatic,
        requestedBy: promotion.requestedBy,
        headline: headline(promotion.state, promotion.detail),
        gates: [...new Set((promotion.detail.reasons ?? []).map(({ gate }) => gate))],
        createdAt: promotion.createdAt.toISOString(),
        changedAt: promotion.changedAt.toISOString(),
        endedAt: promotion.endedAt?.toISOString() ?? null,
        logId: promotion.logId,
      },
    ];
  });
}

export function reasonsOf(detail: PromotionDetail): ReasonView[] {
  const reasons = (detail.reasons ?? []).map(({ gate, what, fix, untilMs }) => ({
    gate,
    what,
    fix: fix ?? null,
    until: untilMs === undefined ? null : new Date(untilMs).toISOString(),
  }));
  const problem =
    detail.problem === undefined
      ? []
      : [{ gate: detail.step ?? 'work', what: detail.problem.what, fix: detail.problem.fix, until: null }];
  return [...reasons, ...problem];
}

/**
 * What a rollback of an environment would put back now: while a rollback is under way, what that one brings; while a
 * deployment is, or after one that ended half way, what ran before it; else what ran before the present one.
 */
export async function rollbackTarget(
  db: Sql,
  environment: EnvironmentRow,
  to?: string,
): Promise<RollbackTarget & { number?: number }> {
  const tenures = await tenuresOf(db, environment.id, 50);
  const open = await openPromotions(db, [environment.id]);
  const back = open.find(({ kind }) => kind === 'rollback');
  const atWork = open.find(({ state }) => isWorking(state));
  const left =
    environment.currentSince === null ? null : await leftStanding(db, environment.id, environment.currentSince);
  const touching = atWork ?? left;
  const heads = await releaseHeads(db, [
    ...tenures.map(({ releaseId }) => releaseId),
    ...(touching === null ? [] : [touching.releaseId]),
  ]);
  const releases = new Map(heads.map((release) => [release.id, release]));
  const coming = touching?.releaseId ?? environment.currentReleaseId;
  const current = environment.currentReleaseId === null ? null : (releases.get(coming ?? '')?.fingerprint ?? null);
  const facts = tenures.map(({ releaseId, fingerprint, yanked, byRollback }): TenureFacts => {
    const release = releases.get(releaseId);
    return {
      releaseId,
      fingerprint,
      name: release === undefined ? releaseId : `#${release.number} (${release.commit.slice(0, 7)})`,
      yanked,
      hasArtifacts: release?.state === 'ready',
      byRollback,
    };
  });
  // a rollback that began has stepped away from what ran, though nobody saw it live
  const begun = touching?.kind === 'rollback' ? facts.find(({ releaseId }) => releaseId === touching.releaseId) : null;
  return planRollback(begun ? [{ ...begun, byRollback: true }, ...facts] : facts, current, {
    unsure: left !== null,
    ...(to === undefined ? {} : { to }),
    ...(back === undefined ? {} : { open: back.releaseId }),
  });
}

export async function environmentViews(db: Sql, environments: readonly EnvironmentRow[]): Promise<EnvironmentView[]> {
  const ids = environments.map(({ id }) => id);
  const open = await openPromotions(db, ids);
  const ended = await lastEnded(db, ids);
  const missing = await missingImages(db, ids);
  const revoked = await revokedIn(db, ids);
  const targets = await Promise.all(environments.map((environment) => rollbackTarget(db, environment)));
  const briefs = await briefsOf(db, [
    ...[...open, ...ended].map(({ releaseId }) => releaseId),
    ...environments.flatMap(({ currentReleaseId }) => currentReleaseId ?? []),
    ...targets.flatMap((target) => (target.kind === 'target' ? target.releaseId : [])),
  ]);
  const promotions = new Map(
    (await promotionViews(db, [...open, ...ended], briefs)).map((view): [string, PromotionView] => [view.id, view]),
  );
  return environments.map((environment, i): EnvironmentView => {
    const current = environment.currentReleaseId === null ? undefined : briefs.get(environment.currentReleaseId);
    const trouble = ended.find(
      ({ environmentId, state }) => environmentId === environment.id && state !== 'live' && state !== 'cancelled',
    );
    const back = targets[i];
    const backBrief = back?.kind === 'target' ? briefs.get(back.releaseId) : undefined;
    return {
      id: environment.id,
      name: environment.name,
      kind: environment.previewBranch === null ? 'static' : 'preview',
      branch: environment.previewBranch,
      environment: environmentOf(environment.name),
      repository: memberOf(environment.name),
      expiresAt: environment.expiresAt?.toISOString() ?? null,
      named: environment.unnamedAt === null,
      stopAskedAt: environment.stopAskedAt?.toISOString() ?? null,
      endProblem: environment.endProblem,
      hold: environment.hold,
      current:
        current === undefined
          ? null
          : {
              ...briefOf(current),
              since: (environment.currentSince ?? new Date(0)).toISOString(),
              yank: yankView(current.release),
            },
      revoked: (revoked.get(environment.id) ?? []).map(({ environmentId: _environment, since, ...rest }) => ({
        ...rest,
        since: since.toISOString(),
      })),
      open: open
        .filter(({ environmentId }) => environmentId === environment.id)
        .flatMap(({ id }) => promotions.get(id) ?? []),
      lastTrouble: trouble === undefined ? null : (promotions.get(trouble.id) ?? null),
      missing: (missing.get(environment.id) ?? []).map(({ since, ...image }) => ({
        ...image,
        since: since.toISOString(),
      })),
      canRollBack:
        backBrief === undefined
          ? { to: null, reason: back?.kind === 'none' ? back.reason : 'The release that ran before is gone.' }
          : { to: briefOf(backBrief) },
    };
  });
}

export async function deploymentsOf(
  db: Sql,
  environmentIds: readonly string[],
): Promise<
  {
    environmentId: string;
    service: string;
    digest: Digest;
    releaseId: string;
    url: string | null;
    since: string;
    observed: boolean;
  }[]
> {
  if (environmentIds.length === 0) return [];
  const rows = await db
    .selectFrom('deployment')
    .selectAll()
    .where('environment_id', 'in', [...environmentIds])
    .orderBy('service')
    .execute();
  return rows.map((row) => ({
    environmentId: row.environment_id,
    service: row.service,
    digest: row.digest as Digest,
    releaseId: row.release_id,
    url: row.url,
    since: row.since.toISOString(),
    observed: row.observed,
  }));
}
