import { z } from 'zod';

import { type Call, type Channel, isOver, isTold, type Shown, told } from '../../channel.ts';
import { type BuildNotice, contextOf, type DeploymentNotice } from '../../notice.ts';
import { lineWithin, nameWithin, urlWithin } from '../../text.ts';

const DESCRIPTION = 140;
const NAME = 255;
const URL_LENGTH = 2_000;

/**
 * Statuses for builds, deployments for promotions. At most a thousand statuses are taken per commit and context.
 * @see docs.github.com, REST: commit statuses, deployments, deployment statuses
 */
export const github: Channel = {
  name: 'github',
  permission: 'a fine-grained token with "Commit statuses" and "Deployments": read and write',
  deployments: true,
  next(notice, shown) {
    if (isTold(notice, shown)) return null;
    return notice.about === 'build' ? status(notice, shown) : deployment(notice, shown);
  },
};

function status(notice: BuildNotice, shown: Shown): Call {
  return {
    method: 'POST',
    path: `/statuses/${notice.commit}`,
    body: {
      state: notice.state,
      context: contextOf(notice),
      description: lineWithin(notice.description, DESCRIPTION),
      target_url: urlWithin(notice.url, URL_LENGTH),
    },
    learn: () => told(notice, shown),
  };
}

function deployment(notice: DeploymentNotice, shown: Shown): Call | null {
  if (shown.id !== undefined) return deploymentStatus(notice, shown, shown.id);
  if (isOver(notice)) return null;
  return shown.looked === true ? make(notice, shown) : look(notice, shown);
}

const Made = z.object({ id: z.number().int() });
const Found = z.array(Made.extend({ payload: z.unknown() }));
const Payload = z.object({ towpath: z.string() });

/** A server that was killed between the request and its record made one that it does not know: the payload tells it. */
function look(notice: DeploymentNotice, shown: Shown): Call {
  const query = new URLSearchParams({ sha: notice.commit, environment: environmentOf(notice), per_page: '100' });
  return {
    method: 'GET',
    path: `/deployments?${query.toString()}`,
    learn(answer) {
      const own = Found.parse(answer).find(({ payload }) => promotionOf(payload) === notice.promotion);
      return { ...shown, looked: true, ...(own === undefined ? {} : { id: own.id }) };
    },
  };
}

/** GitHub gives a payload back as it came, or as text. */
function promotionOf(payload: unknown): string | undefined {
  const value = typeof payload === 'string' && payload.startsWith('{') ? (JSON.parse(payload) as unknown) : payload;
  return Payload.safeParse(value).data?.towpath;
}

/** By default GitHub would merge the default branch into the ref, and refuse it until every status is green. */
function make(notice: DeploymentNotice, shown: Shown): Call {
  return {
    method: 'POST',
    path: '/deployments',
    body: {
      ref: notice.commit,
      environment: environmentOf(notice),
      auto_merge: false,
      required_contexts: [],
      transient_environment: notice.preview,
      description: lineWithin(notice.description, DESCRIPTION),
      payload: { towpath: notice.promotion },
    },
    learn: (answer) => ({ ...shown, id: Made.parse(answer).id }),
  };
}

const STATES = {
  pending: 'in_progress',
  success: 'success',
  failure: 'failure',
  cancelled: 'error',
  replaced: 'inactive',
  removed: 'inactive',
} as const satisfies Record<DeploymentNotice['state'], string>;

/** What is replaced is said by us, for GitHub would say it of previews too, and never of what it takes for production. */
function deploymentStatus(notice: DeploymentNotice, shown: Shown, id: number): Call {
  return {
    method: 'POST',
    path: `/deployments/${id}/statuses`,
    body: {
      state: STATES[notice.state],
      auto_inactive: false,
      description: lineWithin(notice.description, DESCRIPTION),
      log_url: urlWithin(notice.url, URL_LENGTH),
      environment_url: urlWithin(notice.environmentUrl, URL_LENGTH),
    },
    learn: () => told(notice, shown),
  };
}

function environmentOf({ environment }: DeploymentNotice): string {
  return nameWithin(environment, NAME);
}
