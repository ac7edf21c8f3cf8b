import { headline } from '../path/headline.ts';
import type { PromotionDetail, PromotionState } from '../path/promotion.ts';
import type { Release } from '../release/release.ts';
import type { BuildNotice, DeploymentNotice } from './notice.ts';

/** What of a release's recorded facts counts for what is told of its commit. */
export type ReleaseFacts = Pick<Release, 'commit' | 'number' | 'state' | 'problem'> & {
  readonly ref: string;
  readonly services: readonly Pick<Release['services'][number], 'service' | 'state' | 'commit' | 'builtFor'>[];
};

export interface PromotionFacts {
  readonly id: string;
  readonly number: number;
  readonly kind: 'promotion' | 'rollback' | 'removal';
  readonly state: PromotionState;
  readonly detail: PromotionDetail;
  readonly release: Pick<ReleaseFacts, 'commit' | 'number' | 'ref'>;
  readonly environment: { readonly name: string; readonly preview: boolean };
  /** Whether its work had begun: one that never did is nobody's news. */
  readonly begun: boolean;
  /** What the environment runs: this promotion's release, another's, or nothing. */
  readonly runs: 'this' | 'other' | 'nothing';
  readonly url: string | null;
}

/** Where Towpath's page tells of something: `#12`, `promotion 7`. */
export type Link = (subject: string) => string;

export function linkTo(page: string, project: string): Link {
  return (why) => `${page.replace(/\/+$/, '')}/#${new URLSearchParams({ project, why }).toString()}`;
}

export function planBuildNotice(release: ReleaseFacts, link: Link): BuildNotice {
  const { commit, ref } = release;
  const state = { building: 'pending', ready: 'success', failed: 'failure' } as const;
  return {
    about: 'build',
    commit,
    ref,
    state: state[release.state],
    description: buildText(release),
    url: link(`#${release.number}`),
  };
}

function buildText({ number, state, services, problem }: ReleaseFacts): string {
  const fresh = services.filter(({ builtFor, commit }) => builtFor === commit).map(({ service }) => service);
  switch (state) {
    case 'building':
      if (problem !== null) return `Release #${number} waits: ${problem.what}`;
      return `Release #${number}: builds ${services
        .filter((one) => one.state === 'building')
        .map(({ service }) => service)
        .join(', ')}.`;
    case 'ready':
      return `Release #${number}: ${fresh.length === 0 ? 'every artifact was there' : `built ${fresh.join(', ')}`}.`;
    case 'failed':
      return `Release #${number}: ${problem?.what ?? 'it has no artifact.'}`;
    default:
      return state satisfies never;
  }
}

/** @returns null for what nobody has to be told: it waits, or was refused before anything was touched */
export function planDeploymentNotice(promotion: PromotionFacts, link: Link): DeploymentNotice | null {
  const { id, number, kind, release, environment } = promotion;
  const state = kind === 'removal' ? null : stateOf(promotion);
  if (state === null) return null;
  return {
    about: 'deployment',
    commit: release.commit,
    ref: release.ref,
    promotion: id,
    environment: environment.name,
    preview: environment.preview,
    state,
    description: deploymentText(promotion, state),
    url: link(`promotion ${number}`),
    environmentUrl: state === 'success' ? promotion.url : null,
  };
}

function stateOf({ state, begun, runs }: PromotionFacts): DeploymentNotice['state'] | null {
  switch (state) {
    case 'requested':
    case 'evaluating':
    case 'waiting':
    case 'refused':
      return null;
    case 'tagging':
    case 'deploying':
    case 'verifying':
      return 'pending';
    case 'live':
      return ({ this: 'success', other: 'replaced', nothing: 'removed' } as const)[runs];
    case 'failed':
    case 'rolled-back':
      return 'failure';
    case 'superseded':
    case 'cancelled':
      return begun ? 'cancelled' : null;
    default:
      return state satisfies never;
  }
}

/** One text for all of the work: hosts are told of a state once. */
function deploymentText({ state, detail, release, kind }: PromotionFacts, told: DeploymentNotice['state']): string {
  const what = kind === 'rollback' ? `Rollback to release #${release.number}` : `Release #${release.number}`;
  switch (told) {
    case 'pending':
      return `${what} is being brought in.`;
    case 'success':
      return `${what} is live.`;
    case 'replaced':
      return `${what}: another release runs there now.`;
    case 'removed':
      return `${what}: nothing runs there any more.`;
    default:
      return `${what}: ${headline(state, detail)}`;
  }
}
