import type { RecordedEvidence } from '../../check/evidence.ts';
import { evidenceOfDigest, evidenceOfRelease } from '../../check/evidence-store.ts';
import { givenUpAmong, lockBuilt } from '../../artifact/given-up-store.ts';
import { recordAudit } from '../../audit/audit-store.ts';
import { rulingConfig } from '../../config/config-store.ts';
import { TowpathError } from '../../lib/error.ts';
import { promotionsOf } from '../../path/promotion-list-store.ts';
import { partsOfMix } from '../../release/mix-store.ts';
import type { Release } from '../../release/release.ts';
import { cutRelease } from '../../release/cut-store.ts';
import { listReleases, recordedNamesOf, settleRelease } from '../../release/release-store.ts';
import { findRelease } from '../../release/find-store.ts';
import { unyankRelease } from '../../release/yank-store.ts';
import { seeAgain } from '../../source/ref-event-store.ts';
import type { Sql, Tx } from '../../store/database.ts';
import { recordEvent } from '../../store/event-store.ts';
import { once } from '../../store/once.ts';
import { buildAgain } from '../begin-builds.ts';
import type { House } from '../house.ts';
import { stateYank } from '../statements/state.ts';
import { yank } from '../yank.ts';
import type { MixRequest, UseCases } from '../use-cases.ts';
import type { ReleaseView } from '../view/release.ts';
import { evidenceView } from './evidence-view.ts';
import { testRelease } from './test-release.ts';
import { projectNamed } from './project-named.ts';
import { promotionViews, releaseViews } from './views.ts';

export function releaseCases(house: House): UseCases['releases'] {
  const { store } = house;
  return {
    async list(project, { limit, cursor }) {
      const { id } = await projectNamed(store.db, project);
      const releases = await listReleases(store.db, id, limit + 1, cursor === undefined ? undefined : Number(cursor));
      const items = await releaseViews(
        store.db,
        releases.slice(0, limit).map((release) => release.id),
      );
      const last = releases[limit - 1];
      return releases.length > limit && last !== undefined ? { items, next: String(last.number) } : { items };
    },
    async show(project, word) {
      const release = await releaseOf(store.db, project, word);
      const promotions = await promotionsOf(store.db, { projectId: release.projectId, releaseId: release.id }, 50);
      return {
        ...(await viewOf(store.db, release.id)),
        evidence: (await evidenceFor(store.db, release)).map(evidenceView),
        promotions: await promotionViews(store.db, promotions),
      };
    },
    async mix(request, by) {
      const id = await once(store, (tx) => mix(house, tx, request, by));
      return viewOf(store.db, id);
    },
    async yank(project, word, reason, by) {
      const release = await releaseOf(store.db, project, word);
      if (reason.trim() === '')
        throw new TowpathError({
          code: 'release.no-reason',
          what: 'A yank needs a reason.',
          fix: 'Say why, in one sentence: everybody who is refused will read it.',
        });
      const stopped = await once(store, async (tx) => {
        const found = await yank(house, tx, release, { reason, by });
        if (found !== null)
          await recordAudit(tx, { actor: by, action: 'release.yank', subject: release.id, detail: { reason } });
        return found ?? [];
      });
      for (const { id, run } of stopped) await house.starts.cancelPromotion(id, run);
      return viewOf(store.db, release.id);
    },
    async unyank(project, word, by) {
      const release = await releaseOf(store.db, project, word);
      await once(store, async (tx) => {
        if (release.yank === null) return;
        await bringBack(house, tx, release);
        if (!(await unyankRelease(tx, release))) return;
        await settleRelease(tx, release.id);
        await stateYank(tx, release, { state: 'unyanked', reason: null, by }, new Date(house.clock.now()));
        await recordAudit(tx, { actor: by, action: 'release.unyank', subject: release.id, detail: {} });
        await recordEvent(tx, {
          projectId: release.projectId,
          kind: 'release.unyanked',
          subject: release.id,
          data: { by },
        });
      });
      return viewOf(store.db, release.id);
    },
    async retry(project, word, by) {
      const release = await releaseOf(store.db, project, word);
      if (release.yank !== null && (await rulingConfig(store.db, release.projectId))?.config.yank.delete === true)
        throw new TowpathError({
          code: 'release.yanked',
          what: `It is yanked (${release.yank.reason}), and towpath.yaml says that nothing yanked is kept: it would be given up again.`,
          fix: 'Lift the yank first, with `towpath unyank`: that has it built, too.',
        });
      await once(store, async (tx) => {
        const failed = release.services.filter(({ state }) => state === 'failed');
        await buildAgain(house, tx, new Map(failed.map(({ key, commit }) => [key, commit])));
        if (release.services.length === 0) await planAgain(house, tx, release);
        await settleRelease(tx, release.id);
        await recordAudit(tx, { actor: by, action: 'release.retry', subject: release.id, detail: {} });
      });
      return viewOf(store.db, release.id);
    },
    test: async (project, word, check, by) =>
      testRelease(house, await releaseOf(store.db, project, word), { check, by }),
  };
}

/** What was asked of the release, and of its artifacts under another one's name: an unchanged question is asked once. */
async function evidenceFor(db: Sql, release: Release): Promise<readonly RecordedEvidence[]> {
  const own = await evidenceOfRelease(db, release.id);
  const place = ({ check, service, environmentId }: RecordedEvidence) =>
    JSON.stringify([check, service, environmentId]);
  const found = new Map(own.map((item) => [place(item), item]));
  for (const { service, digest } of release.services) {
    if (digest === null) continue;
    for (const item of await evidenceOfDigest(db, release.projectId, service, digest))
      if (item.environmentId === null && !found.has(place(item))) found.set(place(item), item);
  }
  return [...found.values()];
}

/**
 * Whoever allows a release again wants to run it, so what was given up of it is built again. What is still there stays
 * until the end of the transaction: artifacts are locked before releases, as whoever gives up does.
 */
async function bringBack(house: House, tx: Tx, { services }: Release): Promise<void> {
  const commits = new Map(services.map(({ key, commit }) => [key, commit]));
  await lockBuilt(tx, [...commits.keys()]);
  const gone = await givenUpAmong(tx, [...commits.keys()]);
  await buildAgain(house, tx, new Map(gone.map((key) => [key, commits.get(key) ?? ''])));
}

/** What its services are could not be said: the commit is taken in anew, under each of its names. */
async function planAgain(house: House, tx: Tx, release: Release): Promise<void> {
  if (release.mixed) return;
  const names = await recordedNamesOf(tx, [release.id]);
  for (const ref of names.get(release.id) ?? []) {
    const eventId = await seeAgain(tx, { id: release.repositoryId, ref, commit: release.commit }, house.clock.now());
    await house.starts.ingest(tx, eventId);
  }
}

/** A release out of several: its artifacts are there already, so it is ready at once (or as soon as they are). */
export async function mix(house: House, tx: Tx, request: MixRequest, by: string): Promise<string> {
  const base = await releaseOf(tx, request.project, request.base);
  const services = await partsOfMix(tx, base, request.services);
  const releaseId = await cutRelease(tx, {
    projectId: base.projectId,
    repositoryId: base.repositoryId,
    commit: base.commit,
    edition: base.edition,
    mixed: true,
    createdBy: by,
    problem: null,
    services,
  });
  await settleRelease(tx, releaseId);
  await recordAudit(tx, {
    actor: by,
    action: 'release.mix',
    subject: releaseId,
    detail: { base: request.base, services: request.services },
  });
  await recordEvent(tx, {
    projectId: base.projectId,
    kind: 'release.cut',
    subject: releaseId,
    data: { mixed: true, by },
  });
  return releaseId;
}

export async function releaseOf(db: Sql, project: string, word: string): Promise<Release> {
  const { id } = await projectNamed(db, project);
  return findRelease(db, id, word);
}

async function viewOf(db: Sql, id: string): Promise<ReleaseView> {
  const [view] = await releaseViews(db, [id]);
  if (view !== undefined) return view;
  throw new TowpathError({
    code: 'release.unknown',
    what: 'That release is gone.',
    fix: 'List them with `towpath release list`.',
  });
}
