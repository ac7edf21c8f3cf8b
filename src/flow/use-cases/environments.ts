import { recordAudit } from '../../audit/audit-store.ts';
import {
  clearHold,
  environmentById,
  environmentNamed,
  type EnvironmentRow,
  environmentsOf,
  lockEnvironment,
  setHold,
} from '../../environment/environment-store.ts';
import { endEnvironment, recordStopped, stopEnvironment } from '../../environment/ending-store.ts';
import { exactName } from '../../environment/place.ts';
import { formatDuration } from '../../lib/duration.ts';
import { TowpathError } from '../../lib/error.ts';
import { called } from '../../path/gates/approvals.ts';
import type { PathEnvironment } from '../../path/path.ts';
import { openPromotions, promotionsOf } from '../../path/promotion-list-store.ts';
import { movePromotion, requestPromotion } from '../../path/promotion-store.ts';
import { isWorking } from '../../path/promotion.ts';
import type { Sql } from '../../store/database.ts';
import { recordEvent } from '../../store/event-store.ts';
import { once } from '../../store/once.ts';
import { definitionOf } from '../gather.ts';
import type { House } from '../house.ts';
import { placeFor, placesIn } from '../places.ts';
import { wake } from '../wake.ts';
import type { RollbackRequest, UseCases } from '../use-cases.ts';
import type { EnvironmentView } from '../view/environment.ts';
import type { PromoteAnswer } from '../view/promotion.ts';
import { diff } from './diff.ts';
import { releaseOf } from './releases.ts';
import { projectNamed } from './project-named.ts';
import { presentIn } from './by-reference.ts';
import { environmentViews, promotionView, promotionViews, rollbackTarget } from './views.ts';

export function environmentCases(house: House): UseCases['environments'] {
  const { store } = house;
  const place = async (db: Sql, project: string, name: string): Promise<EnvironmentRow> =>
    environmentNamed(db, (await projectNamed(db, project)).id, name);
  const places = async (db: Sql, project: string, name: string): Promise<EnvironmentRow[]> =>
    placesIn(db, (await projectNamed(db, project)).id, name);
  return {
    async list(project) {
      const { id } = await projectNamed(store.db, project);
      return environmentViews(store.db, await environmentsOf(store.db, id));
    },
    async show(project, name) {
      const environment = await place(store.db, project, name);
      const definition = definitionOf(environment);
      const within = (await places(store.db, project, name)).map(({ id }) => id);
      const history = await promotionsOf(
        store.db,
        { projectId: environment.projectId, environmentId: environment.id },
        25,
      );
      return {
        ...(await viewOf(store.db, environment)),
        trigger: definition.on.kind === 'manual' ? 'manual' : `${definition.on.kind} ${definition.on.pattern}`,
        from: definition.from,
        gates: definition.gates.map(gateName),
        driver: definition.deploy.driver,
        services: (await presentIn(store.db, within)).map(({ service, digest, url, since, runs, observed }) => ({
          service,
          digest,
          url,
          since,
          runs,
          observed,
        })),
        history: await promotionViews(store.db, history),
      };
    },
    rollback: (request, by) => rollback(house, request, by),
    async hold(project, name, reason, by) {
      await once(store, async (tx) => {
        for (const { id, projectId } of await places(tx, project, name)) {
          await setHold(tx, id, { reason, by, since: new Date(house.clock.now()).toISOString() });
          await recordAudit(tx, { actor: by, action: 'environment.hold', subject: id, detail: { reason } });
          await recordEvent(tx, { projectId, kind: 'environment.held', subject: id, data: { reason, by } });
          await wake(house, tx, id);
        }
      });
      return viewOf(store.db, await place(store.db, project, name));
    },
    async resume(project, name, by) {
      await once(store, async (tx) => {
        for (const { id, projectId } of await places(tx, project, name)) {
          await lockEnvironment(tx, id);
          const wasStopping = await recordStopped(tx, id);
          if (!(await clearHold(tx, id)) && !wasStopping) continue;
          await recordAudit(tx, { actor: by, action: 'environment.resume', subject: id, detail: {} });
          await recordEvent(tx, { projectId, kind: 'environment.resumed', subject: id, data: { by } });
          await wake(house, tx, id);
        }
      });
      return viewOf(store.db, await place(store.db, project, name));
    },
    async stop(project, name, reason, by) {
      const named = await once(store, async (tx) => {
        for (const { id, projectId } of await places(tx, project, name)) {
          await lockEnvironment(tx, id);
          const said = reason === undefined ? 'stopped' : `stopped: ${reason}`;
          await setHold(tx, id, { reason: said, by, since: new Date(house.clock.now()).toISOString() });
          await stopEnvironment(tx, id);
          const detail = reason === undefined ? {} : { reason };
          await recordAudit(tx, { actor: by, action: 'environment.stop', subject: id, detail });
          await recordEvent(tx, { projectId, kind: 'environment.stopping', subject: id, data: { ...detail, by } });
          await house.starts.remove(tx, id);
        }
        return (await place(tx, project, name)).id;
      });
      return viewOf(store.db, await environmentById(store.db, named));
    },
    async remove(project, name, by) {
      const id = await once(store, async (tx) => {
        const environment = await place(tx, project, name);
        const { previewBranch, unnamedAt } = await lockEnvironment(tx, environment.id);
        if (previewBranch === null && unnamedAt === null) throw partOfThePath(environment);
        await recordAudit(tx, { actor: by, action: 'environment.remove', subject: environment.id, detail: {} });
        await endEnvironment(tx, environment.id);
        await house.starts.remove(tx, environment.id);
        return environment.id;
      });
      return viewOf(store.db, await environmentById(store.db, id));
    },
  };
}

/**
 * Invariant 7: asks for no gate, and what is under way there makes room at once. Whoever asks for what another person's
 * rollback brings already gets that one.
 */
async function rollback(house: House, request: RollbackRequest, by: string): Promise<PromoteAnswer> {
  const { store } = house;
  const project = await projectNamed(store.db, request.project);
  const wanted = request.to === undefined ? undefined : await releaseOf(store.db, request.project, request.to);
  const to = wanted?.id;
  const environment =
    wanted === undefined
      ? await placeToGoBack(store.db, project.id, request.environment)
      : await placeFor(store.db, project.id, request.environment, wanted);
  if (request.dryRun === true) {
    const target = await rollbackTarget(store.db, environment, to);
    if (target.kind === 'target')
      return {
        kind: 'would',
        verdict: 'go',
        reasons: [],
        diff: await diff(house, request.project, environment.name, target.releaseId),
      };
    return {
      kind: 'would',
      verdict: 'refuse',
      reasons: [{ ...noRollback(environment, target.reason), until: null }],
      diff: await diff(house, request.project, environment.name, environment.name),
    };
  }
  const { wish, pushedAside } = await once(store, async (tx) => {
    const target = await rollbackTarget(tx, await lockEnvironment(tx, environment.id), to);
    if (target.kind === 'none') {
      const { what, fix } = noRollback(environment, target.reason);
      throw new TowpathError({ code: 'path.no-rollback', what, fix });
    }
    await recordAudit(tx, {
      actor: by,
      action: 'environment.rollback',
      subject: environment.id,
      detail: { to: target.releaseId },
    });
    const open = await openPromotions(tx, [environment.id]);
    const same = open.find(
      ({ kind, automatic, releaseId }) => kind === 'rollback' && !automatic && releaseId === target.releaseId,
    );
    if (same !== undefined) return { wish: same.id, pushedAside: [] };
    const wish = await requestPromotion(tx, {
      projectId: project.id,
      environmentId: environment.id,
      releaseId: target.releaseId,
      kind: 'rollback',
      automatic: false,
      requestedBy: by,
      cause: request.reason ?? `rollback by ${by}`,
    });
    // of several rollbacks the last word counts
    const pushedAside = open.filter(({ kind, state }) => kind === 'rollback' || isWorking(state));
    for (const { id } of pushedAside)
      await movePromotion(tx, id, { to: 'cancelled', detail: { by: `rollback ${wish.number}` } });
    await recordEvent(tx, {
      projectId: project.id,
      kind: 'promotion.requested',
      subject: wish.id,
      data: { environment: environment.id, by },
    });
    await house.starts.promote(tx, wish.id);
    return { wish: wish.id, pushedAside: pushedAside.map(({ id, runs }) => ({ id, runs })) };
  });
  for (const { id, runs } of pushedAside) await house.starts.cancelPromotion(id, runs);
  return { kind: 'started', promotion: await promotionView(store.db, wish) };
}

/** Of the places that a name means, the one in use. @throws TowpathError `environment.place-ambiguous`: a guess is worst in trouble */
async function placeToGoBack(db: Sql, projectId: string, name: string): Promise<EnvironmentRow> {
  const places = await placesIn(db, projectId, name);
  const targets = await Promise.all(places.map(async (one) => ({ one, back: await rollbackTarget(db, one) })));
  const used = targets.filter(({ one, back }) => one.currentReleaseId !== null || back.kind === 'target');
  const [first] = used;
  if (first === undefined) return environmentNamed(db, projectId, name);
  if (used.length === 1) return first.one;
  const choices = used.map(
    ({ one, back }) => `${exactName(one.name)} (${back.kind === 'target' ? `back to ${back.name}` : 'it cannot'})`,
  );
  throw new TowpathError({
    code: 'environment.place-ambiguous',
    what: `In "${name}" run services of ${used.length} repositories, and each goes back on its own.`,
    fix: `Name one of: ${choices.toSorted().join(', ')}; or the release, with \`--to\`.`,
  });
}

function partOfThePath({ name }: EnvironmentRow): TowpathError {
  return new TowpathError({
    code: 'environment.not-a-preview',
    what: `"${name}" is part of the path and not a preview.`,
    fix: `Take it out of towpath.yaml on the default branch first. \`towpath env stop ${name}\` takes down what runs there.`,
  });
}

function noRollback({ name }: EnvironmentRow, reason: string): { gate: string; what: string; fix: string } {
  return {
    gate: 'rollback',
    what: `${name} cannot be rolled back: ${reason}`,
    fix: 'Promote a release that has its artifacts.',
  };
}

function gateName(gate: PathEnvironment['gates'][number]): string {
  switch (gate.kind) {
    case 'unchanged':
    case 'can-i-deploy':
      return gate.kind;
    case 'check':
      return gate.freshMs === undefined ? gate.name : `${gate.name} of the last ${formatDuration(gate.freshMs)}`;
    case 'approvals':
      return `${gate.count} approval${gate.count === 1 ? '' : 's'} of ${called(gate)}`;
    case 'soak':
      return `soak ${gate.ms / 1000} s`;
    case 'freeze':
      return 'freeze';
    case 'rule':
      return gate.says;
    default:
      return gate satisfies never;
  }
}

async function viewOf(db: Sql, environment: EnvironmentRow): Promise<EnvironmentView> {
  const [view] = await environmentViews(db, [environment]);
  if (view === undefined) throw new Error(`The environment ${environment.id} is gone.`);
  return view;
}
