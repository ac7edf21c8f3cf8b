import type { EventView } from '../../flow/use-cases.ts';
import type { EnvironmentView, MatrixEnvironment } from '../../flow/view/environment.ts';
import type { PromotionView } from '../../flow/view/promotion.ts';
import type { ReleaseBrief, ReleaseView } from '../../flow/view/release.ts';
import type { PromotionState } from '../../path/promotion.ts';
import { sha256 } from '../../lib/digest.ts';

/** A small world that the fake use cases move: one project, three environments and a preview, a few releases. */
export interface World {
  readonly releases: ReleaseView[];
  readonly environments: MatrixEnvironment[];
  readonly promotions: PromotionView[];
  readonly events: EventView[];
  /** Who did what, as the use cases were told. */
  readonly deeds: { by: string; deed: string }[];
  tell(kind: string, subject: string, data?: Readonly<Record<string, unknown>>): void;
  /** Resolves when the next event is there. */
  changed(): Promise<void>;
}

export const PROJECT = 'shop';
export const SERVICES = ['web', 'worker', 'receipt'];
export const START = '2026-11-20T09:00:00.000Z';

const RELEASES: readonly (readonly [subject: string, names: string[]])[] = [
  ['Baskets remember their owner', ['v1.0.0', 'rc-1']],
  ['Receipts show the tax', ['v1.1.0']],
  ['Read me: how to run it', []],
  ['Checkout in one step', ['main']],
  ['Try a darker header', ['feature/dark-header']],
];

export function createWorld(): World {
  const waiting = new Set<() => void>();
  const releases = RELEASES.map(([subject, names], index) => releaseOf(index + 1, subject, names));
  const events: EventView[] = [];
  const [first, second, , fourth, fifth] = releases;
  if (!first || !second || !fourth || !fifth) throw new Error('The world has five releases.');
  const world: World = {
    releases,
    environments: [
      environmentOf('qa', fourth, true),
      environmentOf('demo', second, true),
      environmentOf('prod', first, false),
      { ...environmentOf('preview/feature/dark-header', fifth, false), kind: 'preview', branch: 'feature/dark-header' },
    ],
    promotions: [],
    events,
    deeds: [],
    tell: (kind, subject, data = {}) => {
      events.push({ id: String(events.length + 1), at: START, project: PROJECT, kind, subject, data });
      for (const wake of waiting) wake();
      waiting.clear();
    },
    changed: () => new Promise((resolve) => waiting.add(resolve)),
  };
  world.tell('environment.changed', 'qa');
  return world;
}

export function briefOf({ id, number, commit, subject, names, yanked }: ReleaseView): ReleaseBrief {
  return { id, number, commit, subject, names, yanked };
}

export function promotionOf(
  world: World,
  environment: string,
  release: ReleaseView,
  state: PromotionState,
  headline: string,
  by: string,
): PromotionView {
  const number = world.promotions.length + 1;
  const ended = ['live', 'refused', 'failed', 'cancelled', 'superseded', 'rolled-back'].includes(state);
  return {
    id: `pro_${number}`,
    number,
    kind: 'promotion',
    project: PROJECT,
    environment,
    release: briefOf(release),
    state,
    automatic: false,
    requestedBy: by,
    headline,
    gates: state === 'waiting' ? ['approvals'] : [],
    createdAt: START,
    changedAt: START,
    endedAt: ended ? START : null,
    logId: `log_${number}`,
  };
}

export function viewOf({ cells: _cells, ...environment }: MatrixEnvironment): EnvironmentView {
  return environment;
}

export function deployedOf(release: ReleaseView, environment: MatrixEnvironment): MatrixEnvironment {
  return {
    ...environment,
    current: { ...briefOf(release), since: START, yank: null },
    cells: environment.cells.map((cell, index) => ({
      ...cell,
      releaseId: release.id,
      digest: release.services[index]?.digest ?? cell.digest,
    })),
  };
}

/** Another repository of the project: it has its place in each environment, with a service that is called like it. */
export function addMember({ environments }: World, member: string): void {
  for (const place of environments.filter(({ kind }) => kind === 'static'))
    environments.push({
      ...place,
      id: `${place.id}_${member}`,
      name: `${place.name}.${member}`,
      repository: member,
      cells: place.cells.slice(0, 1).map((cell) => ({ ...cell, service: member })),
    });
}

function releaseOf(number: number, subject: string, names: string[]): ReleaseView {
  const commit = sha256(`commit ${number}`).slice(7, 47);
  return {
    id: `rel_${number}`,
    number,
    commit,
    subject,
    names,
    yanked: false,
    state: 'ready',
    mixed: false,
    author: 'Ada',
    createdAt: START,
    problem: null,
    yank: null,
    services: SERVICES.map((service) => ({
      service,
      commit,
      key: sha256(`${service} ${number}`).slice(7),
      state: 'built',
      digest: sha256(`image of ${service} ${number}`),
      reused: number === 3,
      logId: `log_build_${service}_${number}`,
    })),
  };
}

function environmentOf(name: string, release: ReleaseView, ahead: boolean): MatrixEnvironment {
  return {
    id: `env_${name}`,
    name,
    kind: 'static',
    branch: null,
    environment: name,
    repository: null,
    expiresAt: null,
    named: true,
    stopAskedAt: null,
    endProblem: null,
    hold: null,
    current: { ...briefOf(release), since: START, yank: null },
    open: [],
    lastTrouble: null,
    missing: [],
    revoked: [],
    canRollBack: { to: null, reason: 'nothing ran here before' },
    cells: release.services.map(({ service, digest }, index) => ({
      service,
      digest: digest ?? sha256(''),
      releaseId: release.id,
      url: index === 0 ? `http://127.0.0.1:71${name.length}0` : null,
      since: START,
      runs: true,
      observed: true,
      ahead: ahead && index !== 1,
    })),
  };
}
