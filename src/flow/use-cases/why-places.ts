import type { RecordedEvidence } from '../../check/evidence.ts';
import { evidenceByIds } from '../../check/evidence-store.ts';
import { type EnvironmentRow, environmentsOf } from '../../environment/environment-store.ts';
import { problemOf, TowpathError } from '../../lib/error.ts';
import { decidePromotion, explainPromotion, type Finding } from '../../path/policy.ts';
import { openPromotions, promotionThatBrought } from '../../path/promotion-list-store.ts';
import type { PromotionFacts } from '../../path/facts.ts';
import type { Release } from '../../release/release.ts';
import { releaseHeads } from '../../release/release-store.ts';
import type { Sql } from '../../store/database.ts';
import { factsAt } from '../facts-at.ts';
import { gather } from '../gather.ts';
import type { House } from '../house.ts';
import { placeFor } from '../places.ts';
import type { WhyLineView, WhyPlaceView } from '../view/path.ts';
import { evidenceView } from './evidence-view.ts';
import { reasonsOf } from './views.ts';

export interface WhyWhere {
  readonly environment?: string | undefined;
  /** As it was decided then; now, when it is not said. */
  readonly at?: Date | undefined;
}

/** What the policy says of a release in each environment of the path, or in one. Nothing is asked and nothing is stored. */
export async function whyPlaces(
  house: House,
  release: Release,
  { environment, at }: WhyWhere,
): Promise<WhyPlaceView[]> {
  const { db } = house.store;
  const places =
    environment === undefined
      ? (await environmentsOf(db, release.projectId)).filter((place) => isOfPath(place, release))
      : [await placeFor(db, release.projectId, environment, release)];
  if (at !== undefined) return Promise.all(places.map((place) => whyAt(house, place, release, at)));
  return Promise.all(
    places.map((place) => whyNow(house, place, release).catch((error: unknown) => unseen(place, error))),
  );
}

/** The repository may be away: all that the store knows is told all the same. */
function unseen({ name }: EnvironmentRow, error: unknown): WhyPlaceView {
  const { what } = problemOf(error);
  const nothing = { until: null, promotion: null, lines: [], unknown: [] };
  return { environment: name, verdict: 'wait', headline: `could not be looked at: ${what}`, ...nothing };
}

function isOfPath({ previewBranch, unnamedAt, repositoryId }: EnvironmentRow, release: Release): boolean {
  return (
    previewBranch === null && unnamedAt === null && (repositoryId ?? release.repositoryId) === release.repositoryId
  );
}

async function whyNow(house: House, place: EnvironmentRow, release: Release): Promise<WhyPlaceView> {
  const { db } = house.store;
  const open = (await openPromotions(db, [place.id])).find(
    ({ releaseId, kind }) => releaseId === release.id && kind === 'promotion',
  );
  const [current] = place.currentReleaseId === null ? [] : await releaseHeads(db, [place.currentReleaseId]);
  const runs = current?.fingerprint === release.fingerprint && place.currentSince !== null;
  const brought = runs ? await promotionThatBrought(db, place.id, current.id) : null;
  const wish = open ?? {
    id: brought ?? (runs ? place.currentPromotionId : null), // who approved what runs is told with it
    kind: 'promotion',
    automatic: false,
    requestedBy: 'somebody',
    environmentId: place.id,
  };
  const { facts } = await gather(house, { ...wish, environmentId: place.id }, release);
  return {
    ...(await answer(db, place, release, facts)),
    ...(runs
      ? {
          verdict: 'runs',
          headline: `runs it since ${place.currentSince.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
        }
      : {}),
    promotion: open?.id ?? null,
    unknown: [],
  };
}

async function whyAt(house: House, place: EnvironmentRow, release: Release, at: Date): Promise<WhyPlaceView> {
  if (place.previewBranch !== null)
    throw new TowpathError({
      code: 'path.preview-then',
      what: `"${place.name}" is a preview, and what a preview was like is not kept.`,
      fix: 'Name an environment of the path.',
    });
  const then = await factsAt(house, place, release, at);
  const nothing = { until: null, promotion: null, lines: [], unknown: [] };
  if (then === null)
    return { environment: place.name, verdict: 'refuse', headline: 'was not on the path then', ...nothing };
  return { ...(await answer(house.store.db, place, release, then.facts)), promotion: null, unknown: then.unknown };
}

async function answer(
  db: Sql,
  { name }: EnvironmentRow,
  release: Release,
  facts: PromotionFacts,
): Promise<Omit<WhyPlaceView, 'promotion' | 'unknown'>> {
  const decision = decidePromotion(facts);
  const lines = await linesOf(db, explainPromotion(facts), release);
  const untils = lines.flatMap(({ until }) => until ?? []);
  const first = decision.kind === 'go' ? undefined : decision.reasons[0]?.what;
  const words = { go: 'lets it in', wait: 'waits', refuse: 'refuses it' };
  return {
    environment: name,
    verdict: decision.kind,
    headline: `${words[decision.kind]}${first === undefined ? '' : `: ${first}`}`,
    until: untils.toSorted()[0] ?? null,
    lines,
  };
}

async function linesOf(db: Sql, findings: readonly Finding[], release: Release): Promise<WhyLineView[]> {
  const known = await evidenceByIds(
    db,
    findings.flatMap(({ reason }) => reason.evidence ?? []),
  );
  const origins = await originsOf(db, [...known.values()], release);
  return findings.flatMap(({ verdict, reason }) =>
    reasonsOf({ reasons: [reason] }).map((line) => ({
      ...line,
      verdict,
      evidence: (reason.evidence ?? []).flatMap((id) => {
        const found = known.get(id);
        return found === undefined
          ? []
          : [{ ...evidenceView(found), reusedFrom: origins.get(found.releaseId ?? '') ?? null }];
      }),
    })),
  );
}

/** Of evidence that was asked for other releases: how those are called. */
async function originsOf(
  db: Sql,
  evidence: readonly RecordedEvidence[],
  release: Release,
): Promise<ReadonlyMap<string, string>> {
  const others = evidence.flatMap(({ releaseId }) =>
    releaseId === null || releaseId === release.id ? [] : [releaseId],
  );
  const heads = await releaseHeads(db, [...new Set(others)]);
  return new Map(heads.map(({ id, number, commit }) => [id, `#${number} (${commit.slice(0, 7)})`]));
}
