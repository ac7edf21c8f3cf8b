import { recordAudit } from '../../audit/audit-store.ts';
import { environmentById, environmentNamed, lockEnvironment } from '../../environment/environment-store.ts';
import { TowpathError } from '../../lib/error.ts';
import { decidePromotion } from '../../path/policy.ts';
import { approvalsOf, recordApproval } from '../../path/approval-store.ts';
import { promotionsOf } from '../../path/promotion-list-store.ts';
import {
  eventsOf,
  lockPromotion,
  movePromotion,
  type Promotion,
  requestPromotion,
} from '../../path/promotion-store.ts';
import { findPromotion } from '../../path/find-promotion-store.ts';
import { headline } from '../../path/headline.ts';
import { isEnded, isWorking } from '../../path/promotion.ts';
import { draftMix, partsOfMix } from '../../release/mix-store.ts';
import { releaseById, requireRelease } from '../../release/release-store.ts';
import type { Sql, Tx } from '../../store/database.ts';
import { recordEvent } from '../../store/event-store.ts';
import { once } from '../../store/once.ts';
import { circumstancesOf } from '../circumstances.ts';
import { definitionOf, gather } from '../gather.ts';
import type { House } from '../house.ts';
import { placeFor } from '../places.ts';
import { putBack } from '../put-back.ts';
import { stateApproval } from '../statements/state.ts';
import { wake } from '../wake.ts';
import type { MixRequest, PromoteRequest, UseCases } from '../use-cases.ts';
import type { PromoteAnswer, PromotionView } from '../view/promotion.ts';
import { diffBetween } from './diff.ts';
import { mix, releaseOf } from './releases.ts';
import { projectNamed } from './project-named.ts';
import { promotionView, promotionViews, reasonsOf } from './views.ts';

export function promotionCases(house: House): UseCases['promotions'] {
  const { store } = house;
  return {
    request: (request, by) =>
      request.dryRun === true ? wouldPromote(house, request, by) : startPromotion(house, request, by),
    async show(id) {
      const promotion = await requirePromotion(store.db, id);
      const events = await eventsOf(store.db, promotion.id);
      return {
        ...(await promotionView(store.db, promotion)),
        reasons: reasonsOf(promotion.detail),
        approvals: (await approvalsOf(store.db, promotion.id)).map(({ at, circumstances: _its, ...voice }) => ({
          ...voice,
          at: at.toISOString(),
        })),
        events: events.map(({ from, to, detail, at }) => ({
          from,
          to,
          at: at.toISOString(),
          note: detail.note ?? headline(to, detail),
        })),
      };
    },
    async list(project, { limit, cursor, environment }) {
      const { id } = await projectNamed(store.db, project);
      const place = environment === undefined ? undefined : await environmentNamed(store.db, id, environment);
      const rows = await promotionsOf(
        store.db,
        {
          projectId: id,
          ...(place === undefined ? {} : { environmentId: place.id }),
          ...(cursor === undefined ? {} : { before: Number(cursor) }),
        },
        limit + 1,
      );
      const items = await promotionViews(store.db, rows.slice(0, limit));
      const last = rows[limit - 1];
      return rows.length > limit && last !== undefined ? { items, next: String(last.number) } : { items };
    },
    approve: (id, comment, by) => voice(house, id, 'approved', comment, by),
    reject: (id, comment, by) => voice(house, id, 'rejected', comment, by),
    async cancel(id, by) {
      const before = await requirePromotion(store.db, id);
      const { runs } = await once(store, (tx) => cancel(house, tx, before, by));
      await house.starts.cancelPromotion(before.id, runs);
      return promotionView(store.db, before.id);
    },
  };
}

async function startPromotion(house: House, request: PromoteRequest, by: string): Promise<PromoteAnswer> {
  const id = await once(house.store, async (tx) => {
    const project = await projectNamed(tx, request.project);
    const base = await releaseOf(tx, request.project, request.release);
    const environment = await placeFor(tx, project.id, request.environment, base);
    const releaseId = isMix(request)
      ? await mix(house, tx, { project: request.project, base: request.release, services: request.services }, by)
      : base.id;
    const wish = await requestPromotion(tx, {
      projectId: project.id,
      environmentId: environment.id,
      releaseId,
      kind: 'promotion',
      automatic: false,
      requestedBy: by,
      cause: `asked for by ${by}`,
    });
    await recordAudit(tx, {
      actor: by,
      action: 'promotion.request',
      subject: wish.id,
      detail: { environment: environment.name, release: releaseId },
    });
    await recordEvent(tx, {
      projectId: project.id,
      kind: 'promotion.requested',
      subject: wish.id,
      data: { environment: environment.id, by },
    });
    await house.starts.promote(tx, wish.id);
    return wish.id;
  });
  return { kind: 'started', promotion: await promotionView(house.store.db, id) };
}

/** The policy's answer on the same facts, with nothing stored. A mix is judged without being made. */
async function wouldPromote(house: House, request: PromoteRequest, by: string): Promise<PromoteAnswer> {
  const { db } = house.store;
  const project = await projectNamed(db, request.project);
  const base = await releaseOf(db, request.project, request.release);
  const environment = await placeFor(db, project.id, request.environment, base);
  const release = isMix(request) ? await draftMix(db, base, await partsOfMix(db, base, request.services)) : base;
  const wish = {
    id: null,
    kind: 'promotion',
    automatic: false,
    requestedBy: by,
    environmentId: environment.id,
  } as const;
  const { facts, currentReleaseId } = await gather(house, wish, release);
  const decision = decidePromotion(facts);
  const current = currentReleaseId === null ? null : await releaseById(db, currentReleaseId);
  return {
    kind: 'would',
    verdict: decision.kind,
    reasons: decision.kind === 'go' ? [] : reasonsOf({ reasons: decision.reasons }),
    diff: await diffBetween(
      house,
      { name: request.environment, release: current },
      { name: isMix(request) ? facts.release.name : request.release, release },
    ),
  };
}

function isMix(request: PromoteRequest): request is PromoteRequest & Pick<MixRequest, 'services'> {
  return request.services !== undefined && Object.keys(request.services).length > 0;
}

/**
 * One voice, and the promotion looks again: in one transaction, so that no approval is lost and none counts twice. It is given
 * for this release as it would run now.
 */
async function voice(
  house: House,
  id: string,
  verdict: 'approved' | 'rejected',
  comment: string | undefined,
  by: string,
): Promise<PromotionView> {
  const circumstances = await wouldRunUnder(house, await requirePromotion(house.store.db, id));
  const promotionId = await once(house.store, async (tx) => {
    const found = await requirePromotion(tx, id);
    if (isEnded(found.state)) {
      throw new TowpathError({
        code: 'promotion.ended',
        what: `Promotion ${found.number} has ended: ${headline(found.state, found.detail)}`,
        fix: 'Ask for a new one with `towpath promote`.',
      });
    }
    await recordApproval(tx, found.id, { by, verdict, comment: comment ?? null, circumstances });
    const said = (await approvalsOf(tx, found.id)).find((one) => one.by === by);
    if (said !== undefined) await stateApproval(tx, found, said);
    await recordAudit(tx, {
      actor: by,
      action: `promotion.${verdict}`,
      subject: found.id,
      detail: { comment: comment ?? null },
    });
    await recordEvent(tx, {
      projectId: found.projectId,
      kind: `promotion.${verdict}`,
      subject: found.id,
      data: { by, environment: found.environmentId },
    });
    await house.starts.promote(tx, found.id);
    return found.id;
  });
  return promotionView(house.store.db, promotionId);
}

async function wouldRunUnder(house: House, { environmentId, releaseId }: Promotion): Promise<string> {
  const { db } = house.store;
  const definition = definitionOf(await environmentById(db, environmentId));
  return circumstancesOf(house, definition, await requireRelease(db, releaseId));
}

/**
 * Ends a promotion for good. What is at work hears it and stops, and what ran before is put back, for nobody knows how
 * far it came; whoever waits behind it looks again.
 */
async function cancel(
  house: House,
  tx: Tx,
  { id, environmentId }: Promotion,
  by: string,
): Promise<Pick<Promotion, 'runs'>> {
  await lockEnvironment(tx, environmentId);
  const promotion = (await lockPromotion(tx, id)) ?? (await requirePromotion(tx, id));
  if (isEnded(promotion.state)) {
    throw new TowpathError({
      code: 'promotion.ended',
      what: `Promotion ${promotion.number} has ended already.`,
      fix: 'Nothing is left to cancel.',
    });
  }
  await movePromotion(tx, promotion.id, { to: 'cancelled', detail: { by } });
  await recordAudit(tx, { actor: by, action: 'promotion.cancel', subject: promotion.id, detail: {} });
  await recordEvent(tx, {
    projectId: promotion.projectId,
    kind: 'promotion.cancelled',
    subject: promotion.id,
    data: { by, environment: promotion.environmentId },
  });
  if (isWorking(promotion.state)) await putBack(house, tx, promotion, { by, why: 'was cancelled' });
  await wake(house, tx, environmentId);
  return { runs: promotion.runs };
}

/** By its id, the beginning of it, or `promotion 12`. `#12` is a release, never a promotion. */
async function requirePromotion(db: Sql, name: string): Promise<Promotion> {
  const promotion = await findPromotion(db, name);
  if (promotion !== null) return promotion;
  throw new TowpathError({
    code: 'promotion.unknown',
    what: `There is no promotion "${name}".`,
    fix: /^#?\d+$/.test(name)
      ? `A number alone names a release; a promotion is \`promotion ${name.replace('#', '')}\`.`
      : '`towpath env show ENVIRONMENT --json` names them, and `towpath why ENVIRONMENT` the newest.',
  });
}
