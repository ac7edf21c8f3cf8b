import { z } from 'zod';

import { slugOf } from '../../../lib/slug.ts';
import { type Call, type Channel, isOver, isTold, type Shown, told } from '../../channel.ts';
import { type BuildNotice, contextOf, type DeploymentNotice, type Notice } from '../../notice.ts';
import { lineWithin, urlWithin } from '../../text.ts';

const LENGTH = 255;

/**
 * Statuses for builds, deployments for promotions, and the address of an environment in the environment itself.
 * @see docs.gitlab.com, REST: commits ("Set commit pipeline status"), deployments, environments
 */
export const gitlab: Channel = {
  name: 'gitlab',
  permission: 'a project access token with the role Developer and the scope "api"',
  deployments: true,
  next(notice, shown) {
    if (isTold(notice, shown)) return null;
    return notice.about === 'build' ? status(notice, shown) : deployment(notice, shown);
  },
};

const Status = z.object({ pipeline_id: z.number().int().nullish() });

/** A commit without a pipeline gets one by its first status; the next ones are put into the same. */
function status(notice: BuildNotice, shown: Shown): Call {
  return {
    method: 'POST',
    path: `/statuses/${notice.commit}`,
    body: {
      state: { pending: 'running', success: 'success', failure: 'failed' }[notice.state],
      name: contextOf(notice),
      description: lineWithin(notice.description, LENGTH),
      target_url: urlWithin(notice.url, LENGTH),
      ...nameOfRef(notice),
      ...(shown.pipeline === undefined ? {} : { pipeline_id: shown.pipeline }),
    },
    learn(answer) {
      const pipeline = Status.safeParse(answer).data?.pipeline_id ?? undefined;
      return told(notice, { ...shown, ...(pipeline === undefined ? {} : { pipeline }) });
    },
    isShown,
  };
}

/** A ref that is too long is left out of a status: GitLab then finds one by the commit. */
function nameOfRef({ ref }: Notice): { ref?: string } {
  const name = ref.replace(/^refs\/(?:heads|tags)\//, '');
  return name.length > LENGTH ? {} : { ref: name };
}

function deployment(notice: DeploymentNotice, shown: Shown): Call | null {
  const { id, environment } = shown;
  if (id === undefined && isOver(notice)) return null;
  if (id === undefined) return shown.looked === true ? make(notice, shown) : look(notice, shown);
  const address = urlWithin(notice.environmentUrl, LENGTH);
  switch (notice.state) {
    case 'replaced': // GitLab sees it by what came after
      return null;
    case 'removed':
      return environment === undefined ? null : stop(notice, shown, environment);
    case 'success':
      if (address !== undefined && address !== shown.address && environment !== undefined)
        return give(shown, environment, address);
      return finish(notice, shown, id, 'success');
    case 'pending':
      return finish(notice, shown, id, 'running');
    case 'failure':
      return finish(notice, shown, id, 'failed');
    case 'cancelled':
      return finish(notice, shown, id, 'canceled');
    default:
      return notice.state satisfies never;
  }
}

const Made = z.object({ id: z.number().int(), environment: z.object({ id: z.number().int() }).nullish() });
const Found = z.array(Made.extend({ sha: z.string(), deployable: z.unknown() }));

/**
 * GitLab keeps nothing of ours beside a deployment. But in one environment one promotion works at a time, and each is made
 * as running: one of this commit that still runs, and is of no pipeline, is its own.
 */
function look(notice: DeploymentNotice, shown: Shown): Call {
  const query = { environment: environmentOf(notice), status: 'running', order_by: 'id', sort: 'desc' };
  return {
    method: 'GET',
    path: `/deployments?${new URLSearchParams(query).toString()}`,
    learn(answer) {
      const own = Found.parse(answer).find(
        ({ sha, deployable }) => sha === notice.commit && (deployable ?? null) === null,
      );
      return { ...shown, looked: true, ...(own === undefined ? {} : known(own)) };
    },
  };
}

function known({ id, environment }: z.infer<typeof Made>): Pick<Shown, 'id' | 'environment'> {
  return { id, ...(environment ? { environment: environment.id } : {}) };
}

/** It is made as running even if it is over: the address of the environment comes before the success. */
function make(notice: DeploymentNotice, shown: Shown): Call {
  return {
    method: 'POST',
    path: '/deployments',
    body: {
      environment: environmentOf(notice),
      sha: notice.commit,
      ref: notice.ref.replace(/^refs\/(?:heads|tags)\//, ''),
      tag: notice.ref.startsWith('refs/tags/'),
      status: 'running',
    },
    learn(answer) {
      const made = { ...shown, ...known(Made.parse(answer)) };
      return notice.state === 'pending' ? told(notice, made) : made;
    },
  };
}

function give(shown: Shown, environment: number, address: string): Call {
  return {
    method: 'PUT',
    path: `/environments/${environment}`,
    body: { external_url: address },
    learn: () => ({ ...shown, address }),
  };
}

function finish(notice: DeploymentNotice, shown: Shown, id: number, status: string): Call {
  return {
    method: 'PUT',
    path: `/deployments/${id}`,
    body: { status },
    learn: () => told(notice, shown),
    isShown,
  };
}

function stop(notice: DeploymentNotice, shown: Shown, environment: number): Call {
  return {
    method: 'POST',
    path: `/environments/${environment}/stop`,
    body: {},
    learn: () => told(notice, shown),
    isShown: (status) => status === 404, // somebody deleted it
  };
}

/** GitLab moves a state only forward, and refuses the one that it has. */
function isShown(status: number, what: string): boolean {
  return status === 400 && /cannot transition/i.test(what);
}

/** What GitLab takes: letters, digits, spaces, `-`, `_`, `/`, `$`, `{`, `}` and `.`, without a slash at an end. */
function environmentOf({ environment }: DeploymentNotice): string {
  return /^(?!\/)[\w${}. /-]{1,255}(?<!\/)$/.test(environment) ? environment : slugOf(environment, 200);
}
