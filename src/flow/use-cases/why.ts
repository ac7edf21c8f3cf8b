import { reporterOf } from '../../artifact/report.ts';
import { newestReport, reportsByKey } from '../../artifact/report-store.ts';
import { environmentById, type EnvironmentRow, environmentsOf } from '../../environment/environment-store.ts';
import { hasCode, TowpathError } from '../../lib/error.ts';
import { findPromotion } from '../../path/find-promotion-store.ts';
import { headline } from '../../path/headline.ts';
import { lastEnded, openPromotions, promotionsOf } from '../../path/promotion-list-store.ts';
import { eventsOf, type Promotion } from '../../path/promotion-store.ts';
import { type Release, reportsWanted } from '../../release/release.ts';
import { releaseById, servicesOf } from '../../release/release-store.ts';
import { unseenOf } from '../../source/member-store.ts';
import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';
import { placesIn } from '../places.ts';
import { missingText, type MissingImageView, troublesOf } from '../view/environment.ts';
import type { WhyView } from '../view/path.ts';
import type { ReasonView } from '../view/promotion.ts';
import { notThere } from './not-there.ts';
import { releaseOf } from './releases.ts';
import { projectNamed } from './project-named.ts';
import { environmentViews, promotionViews, reasonsOf, releaseViews } from './views.ts';
import { whyPlaces, type WhyWhere } from './why-places.ts';

/**
 * Invariant 14: why something waits, was refused, is held, or is live. With an environment or an instant it is about a release.
 * @throws TowpathError `path.future`, and as `factsAt`
 */
export async function why(house: House, project: string, subject: string, where: WhyWhere = {}): Promise<WhyView> {
  const { db } = house.store;
  if (where.at !== undefined && where.at.getTime() > house.clock.now()) throw notYet(where.at);
  if (where.environment !== undefined || where.at !== undefined) return whyRelease(house, project, subject, where);
  const { id } = await projectNamed(db, project);
  const promotion = await findPromotion(db, subject, id);
  if (promotion !== null) return whyPromotion(house, promotion);
  const environment = await whyEnvironment(house, project, subject);
  if (environment !== null) return environment;
  try {
    return await whyRelease(house, project, subject, {});
  } catch (error) {
    if (!hasCode(error, 'release.unknown')) throw error;
    throw await nothingCalled(db, id, subject);
  }
}

function notYet(at: Date): TowpathError {
  return new TowpathError({
    code: 'path.future',
    what: `${at.toISOString()} has not come yet.`,
    fix: 'Ask without a time: what waits says until when.',
  });
}

async function nothingCalled(db: Sql, projectId: string, subject: string): Promise<TowpathError> {
  const environments = (await environmentsOf(db, projectId)).map(({ name }) => name);
  return new TowpathError({
    code: 'path.unknown-subject',
    what: `There is no environment, promotion or release "${subject}" in this project.`,
    fix: `Name an environment (${environments.length === 0 ? 'there is none yet' : environments.join(', ')}), a promotion (its id, or \`promotion 12\`), or a release (#12, a commit, a branch or a tag).`,
  });
}

async function whyPromotion(house: House, promotion: Promotion): Promise<WhyView> {
  const { store } = house;
  const [view] = await promotionViews(store.db, [promotion]);
  const name =
    view === undefined ? promotion.id : `promotion ${view.number}: ${label(view.release)} to ${view.environment}`;
  return {
    subject: name,
    headline: headline(promotion.state, promotion.detail),
    at: null,
    environments: await whyOnItsWay(house, promotion),
    reasons: reasonsOf(promotion.detail),
    story: (await eventsOf(store.db, promotion.id)).map(({ to, detail, at }) => ({
      at: at.toISOString(),
      what: `${to}: ${detail.note ?? headline(to, detail)}`,
    })),
  };
}

/** Condition by condition, as it stands at this moment; what has ended is as it was decided. */
async function whyOnItsWay(house: House, promotion: Promotion): Promise<WhyView['environments']> {
  const { db } = house.store;
  const release = promotion.endedAt === null ? await releaseById(db, promotion.releaseId) : null;
  if (release === null || promotion.kind !== 'promotion') return [];
  return whyPlaces(house, release, { environment: (await environmentById(db, promotion.environmentId)).name });
}

/** An environment: its hold, what waits for it, and what failed last. */
async function whyEnvironment({ store }: House, project: string, name: string): Promise<WhyView | null> {
  const { id } = await projectNamed(store.db, project);
  const places = await placesIn(store.db, id, name).catch((error: unknown) => {
    if (hasCode(error, 'environment.unknown')) return [];
    throw error;
  });
  const views = await Promise.all(places.toSorted(byName).map((place) => whyPlace(store, place)));
  const [only] = views;
  if (only === undefined || views.length === 1) return only ?? null;
  const each = <Line extends { what: string }>(linesOf: (view: WhyView) => readonly Line[]): Line[] =>
    views.flatMap((view) => linesOf(view).map((line) => ({ ...line, what: `${view.subject}: ${line.what}` })));
  return {
    subject: name,
    headline: views.map(({ headline }) => headline).join('; '),
    at: null,
    environments: [],
    reasons: each(({ reasons }) => reasons),
    story: each(({ story }) => story),
  };
}

/** So the home's comes first. */
function byName({ name: one }: EnvironmentRow, { name: other }: EnvironmentRow): number {
  return one < other ? -1 : 1;
}

async function whyPlace(store: House['store'], environment: EnvironmentRow): Promise<WhyView> {
  const [view] = await environmentViews(store.db, [environment]);
  const open = await openPromotions(store.db, [environment.id]);
  const ended = (await lastEnded(store.db, [environment.id])).filter(({ state }) => state !== 'live');
  const unseen = await unseenOf(store.db, environment.projectId);
  const reasons: ReasonView[] = [
    ...whyEnding(environment),
    ...(view === undefined ? [] : troublesOf(view)).map((trouble) => ({ ...trouble, until: null })),
    ...(view?.missing ?? []).map(whyMissing),
    ...(environment.hold === null
      ? []
      : [
          {
            gate: 'hold',
            what: `On hold since ${environment.hold.since}, set by ${environment.hold.by}: ${environment.hold.reason}`,
            fix: `\`towpath resume ${environment.name}\` lets it move again.`,
            until: null,
          },
        ]),
    ...open.flatMap(({ detail }) => reasonsOf(detail)),
    ...(open.length > 0
      ? []
      : [...(await notThere(store.db, environment)), ...ended.flatMap(({ detail }) => reasonsOf(detail))]),
    ...(unseen === null
      ? []
      : [{ gate: 'repository', what: `What is pushed is not seen: ${unseen.what}`, fix: unseen.fix, until: null }]),
  ];
  const nothing = environment.endProblem === null ? 'runs nothing yet' : 'is to run nothing any more';
  const runs = view === undefined || view.current === null ? nothing : `runs ${label(view.current)}`;
  const waits =
    open.length === 0
      ? ''
      : `; ${open.length} under way: ${headline(open[0]?.state ?? 'waiting', open[0]?.detail ?? {})}`;
  const unnamed = environment.unnamedAt === null ? '' : ', is not named in towpath.yaml any more';
  const held = environment.hold === null ? '' : ' and is on hold';
  const newest = open[0] ?? ended[0];
  const parts = view === undefined || view.current === null ? null : await servicesOf(store.db, [view.current.id]);
  return {
    subject: environment.name,
    headline: `${environment.name} ${runs}${unnamed}${held}${waits}`,
    at: null,
    environments: [],
    reasons,
    story: [
      ...(await reportsBehind(store.db, [...(parts?.values() ?? [])].flat())),
      ...(newest === undefined
        ? []
        : (await eventsOf(store.db, newest.id)).map(({ to, detail, at }) => ({
            at: at.toISOString(),
            what: `promotion ${newest.number} ${to}: ${detail.note ?? headline(to, detail)}`,
          }))),
    ],
  };
}

function whyMissing(missing: MissingImageView): ReasonView {
  return {
    gate: 'artifact',
    what: sentence(missingText(missing)),
    fix: 'Bring it back from a backup of the registry, by its digest. What runs goes on until it has to be started anew.',
    until: null,
  };
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

function whyEnding({ name, unnamedAt, expiresAt, stopAskedAt }: EnvironmentRow): ReasonView[] {
  if (stopAskedAt !== null) {
    const what = `What runs there is being taken down, since ${stopAskedAt.toISOString()}. It is tried until that is done.`;
    return [{ gate: 'stop', what, fix: null, until: null }];
  }
  if (unnamedAt === null || expiresAt !== null) return [];
  return [
    {
      gate: 'path',
      what: `towpath.yaml on the default branch does not name it any more, since ${unnamedAt.toISOString()}. It stays while something runs there.`,
      fix: `\`towpath env remove ${name}\` ends it; name it again to keep it.`,
      until: null,
    },
  ];
}

async function whyRelease(house: House, project: string, word: string, where: WhyWhere): Promise<WhyView> {
  const { store } = house;
  const release = await releaseOf(store.db, project, word);
  const [view] = await releaseViews(store.db, [release.id]);
  const environments = await whyPlaces(house, release, where);
  if (where.at !== undefined) {
    const [subject, at] = [view === undefined ? word : label(view), where.at.toISOString()];
    return { subject, headline: `${subject} at ${at}`, at, environments, reasons: [], story: [] };
  }
  const yank = view?.yank ?? null;
  const problem = view?.problem ?? null;
  const reasons: ReasonView[] = [
    ...(yank === null
      ? []
      : [
          {
            gate: 'yank',
            what: `Yanked by ${yank.by}: ${yank.reason}`,
            fix: '`towpath unyank` lifts it.',
            until: null,
          },
        ]),
    ...(await whyUnreported(store.db, release)),
    ...(problem === null ? [] : [{ gate: 'artifact', what: problem.what, fix: problem.fix, until: null }]),
    ...(await whyNotThere(store.db, release)),
  ];
  const reused = view?.services.filter((part) => part.reused).map(({ service }) => service) ?? [];
  const built = view?.services.filter((part) => !part.reused).map(({ service }) => service) ?? [];
  return {
    subject: view === undefined ? word : label(view),
    headline: `${view === undefined ? word : label(view)} is ${view?.state ?? 'unknown'}${yank === null ? '' : ' and yanked'}`,
    at: null,
    environments,
    reasons,
    story: [
      {
        at: release.createdAt.toISOString(),
        what: `cut from commit ${release.commit.slice(0, 7)} by ${view?.author ?? release.createdBy}`,
      },
      ...(built.length === 0
        ? []
        : [{ at: release.createdAt.toISOString(), what: `built for it: ${built.join(', ')}` }]),
      ...(reused.length === 0
        ? []
        : [{ at: release.createdAt.toISOString(), what: `the same artifacts as before: ${reused.join(', ')}` }]),
      ...(await reportsBehind(store.db, release.services)),
    ],
  };
}

/** Which jobs of which CIs reported what the release is made of. */
async function reportsBehind(db: Sql, services: Release['services']): Promise<WhyView['story']> {
  const reports = await reportsByKey(
    db,
    services.map(({ key }) => key),
  );
  return services.flatMap(({ service, key }) => {
    const report = reports.get(key);
    if (report === undefined) return [];
    const what = `"${service}" reported by ${reporterOf(report)} for commit ${report.commit.slice(0, 7)}`;
    return [{ at: (report.endedAt ?? report.at).toISOString(), what }];
  });
}

/** What another CI has to report, and what was wrong with its last report. */
async function whyUnreported(db: Sql, { projectId, services }: Release): Promise<ReasonView[]> {
  const reasons: ReasonView[] = [];
  for (const part of services) {
    if (part.reportUntil === null || part.state === 'built') continue;
    for (const { what, untilMs } of reportsWanted([part]))
      reasons.push({ gate: 'artifact', what, fix: null, until: new Date(untilMs).toISOString() });
    const report = await newestReport(db, projectId, part.service, part.commit);
    if (report?.problem)
      reasons.push({
        gate: 'report',
        what: `The report of ${report.digest.slice(0, 19)} by ${reporterOf(report)} was refused: ${report.problem.what}`,
        fix: report.problem.fix,
        until: null,
      });
    else if (report !== null)
      reasons.push({
        gate: 'report',
        what: `A report by ${reporterOf(report)} is being looked at.`,
        fix: null,
        until: null,
      });
  }
  return reasons;
}

/** Of each environment what the newest promotion of the release there says, unless it went live. */
async function whyNotThere(db: Sql, { id, projectId }: Release): Promise<ReasonView[]> {
  const promotions = await promotionsOf(db, { projectId, releaseId: id }, PROMOTIONS_LOOKED_AT);
  const newest = promotions.filter(
    ({ environmentId }, place) => promotions.findIndex((one) => one.environmentId === environmentId) === place,
  );
  const elsewhere = newest.filter(({ state }) => state !== 'live');
  const places = new Map((await promotionViews(db, elsewhere)).map((view) => [view.id, view.environment]));
  return elsewhere.flatMap(({ id: promotionId, state, detail }) => {
    const what = (text: string): string => `${places.get(promotionId) ?? '?'} (${state}): ${text}`;
    const reasons = reasonsOf(detail);
    if (reasons.length === 0)
      return [{ gate: 'promotion', what: what(headline(state, detail)), fix: null, until: null }];
    return reasons.map((reason) => ({ ...reason, what: what(reason.what) }));
  });
}

const PROMOTIONS_LOOKED_AT = 50;

function label({ names, commit, number }: { names: readonly string[]; commit: string; number: number }): string {
  return `#${number} (${[commit.slice(0, 7), ...names.slice(0, 2)].join(', ')})`;
}
