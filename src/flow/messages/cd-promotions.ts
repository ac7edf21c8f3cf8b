import { type EnvironmentRow, environmentById } from '../../environment/environment-store.ts';
import { purlOf } from '../../notify/cd-event.ts';
import type { Draft } from '../../notify/plan-message.ts';
import { blamesArtifacts } from '../../path/blame.ts';
import { headline } from '../../path/headline.ts';
import { type Promotion, promotionById } from '../../path/promotion-store.ts';
import { isEnded, PROMOTION_STATES, type PromotionDetail, type PromotionState } from '../../path/promotion.ts';
import type { Release } from '../../release/release.ts';
import { releaseById } from '../../release/release-store.ts';
import type { StoredEvent } from '../../store/event-store.ts';
import type { House } from '../house.ts';
import { runnable, type Teller } from './cd-teller.ts';
import { placeOf } from './news.ts';

/** That a promotion ended, and what runs by it other than before. */
export async function promotionEvents(
  house: House,
  event: StoredEvent,
  teller: Teller,
  word: string,
): Promise<Draft[]> {
  const state = PROMOTION_STATES.find((one) => one === word);
  if (state === undefined || !isEnded(state)) return [];
  const { db } = house.store;
  const promotion = await promotionById(db, event.subject);
  const release = promotion === null ? null : await releaseById(db, promotion.releaseId);
  if (promotion === null || release === null || promotion.kind === 'removal') return [];
  const environment = await environmentById(db, promotion.environmentId);
  const detail = (event.data['detail'] ?? {}) as PromotionDetail; // written by `move` alone
  const before = promotion.previousReleaseId === null ? null : await releaseById(db, promotion.previousReleaseId);
  const run = runEvent(teller, { promotion, release, environment, state, detail });
  return [run, ...serviceEvents(house, teller, { promotion, environment, state, before, release })];
}

function runEvent(
  { tell, chain, link, project }: Teller,
  of: {
    readonly promotion: Promotion;
    readonly release: Release;
    readonly environment: EnvironmentRow;
    readonly state: PromotionState;
    readonly detail: PromotionDetail;
  },
): Draft {
  const { promotion, release, environment, state, detail } = of;
  const isOurs = detail.problem !== undefined && !blamesArtifacts(detail.problem);
  const outcome =
    state === 'live'
      ? 'success'
      : state === 'cancelled' || state === 'superseded'
        ? 'cancel'
        : isOurs
          ? 'error'
          : 'failure';
  return tell({
    type: 'pipelinerun.finished.0.3.0',
    key: 'run',
    subject: {
      id: promotion.id,
      content: {
        pipelineName: `${promotion.kind} to ${project}/${environment.name}`,
        uri: link(`promotion ${promotion.number}`),
        outcome,
        ...(outcome === 'success' ? {} : { errors: headline(state, detail) }),
      },
    },
    chainId: chain(release.commit),
    customData: { release: release.number, commit: release.commit, state },
    place: placeOf(environment),
  });
}

/** What runs other than before: a service whose artifact stayed tells nothing. */
function serviceEvents(
  { registry }: House,
  { tell, chain, project }: Teller,
  of: {
    readonly promotion: Promotion;
    readonly environment: EnvironmentRow;
    readonly state: PromotionState;
    readonly before: Release | null;
    readonly release: Release;
  },
): Draft[] {
  const { promotion, environment, state, before, release } = of;
  const [from, to] = state === 'live' ? [before, release] : state === 'rolled-back' ? [release, before] : [null, null];
  if (to === null) return [];
  const isBack = state === 'rolled-back' || promotion.kind === 'rollback';
  const earlier = new Map(runnable(from).map((part) => [part.service, part.digest]));
  const now = runnable(to);
  const told = (word: string, service: string, artifactId?: string): Draft =>
    tell({
      type: `service.${word}.0.3.0`,
      subject: {
        id: `${project}/${service}`,
        content: {
          environment: { id: `${project}/${environment.name}` },
          ...(artifactId === undefined ? {} : { artifactId }),
        },
      },
      chainId: chain(to.commit),
      customData: { release: to.number, commit: to.commit, promotion: promotion.id },
      place: placeOf(environment),
    });
  const gone = [...earlier.keys()].filter((service) => !now.some((part) => part.service === service));
  return [
    ...now.flatMap(({ service, digest, builtIn }) => {
      if (earlier.get(service) === digest) return [];
      const word = !earlier.has(service) ? 'deployed' : isBack ? 'rolledback' : 'upgraded';
      return [told(word, service, purlOf(registry.host, builtIn, digest))];
    }),
    ...gone.map((service) => told('removed', service)),
  ];
}
