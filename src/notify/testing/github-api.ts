import { type Answered, type Asked, type HostApi, type Shows, textOf, wrongIn } from './stand-in.ts';

const STATUS_STATES = ['error', 'failure', 'pending', 'success'];
const DEPLOYMENT_STATES = ['error', 'failure', 'inactive', 'in_progress', 'queued', 'pending', 'success'];
const MOST_STATUSES = 1000;

/** @see docs.github.com, REST API version 2022-11-28: commit statuses, deployments, deployment statuses */
export const githubApi: HostApi = {
  prefix: '/api/v3/repos/team/shop',
  knows: (token, { authorization }) => authorization === `Bearer ${token}` || authorization === `token ${token}`,
  answer({ method, path, query, body }, shows) {
    const [, noun = '', id = '', more = ''] = path.split('/');
    if (method === 'POST' && noun === 'statuses' && more === '') return status(id, body, shows);
    if (method === 'GET' && path === '/deployments') return { status: 200, body: listed(query, shows) };
    if (method === 'POST' && path === '/deployments') return make(body, shows);
    if (method === 'POST' && noun === 'deployments' && more === 'statuses') return move(Number(id), body, shows);
    return null;
  },
};

function status(sha: string, body: Asked['body'], shows: Shows): Answered {
  if (shows.commits.size > 0 && !shows.commits.has(sha)) return invalid([`No commit found for SHA: ${sha}`]);
  const fields = { description: { most: 140 }, target_url: { most: 2_000, url: true }, context: { most: 255 } };
  const wrong = wrongIn(body, fields);
  if (!STATUS_STATES.includes(textOf(body, 'state'))) wrong.push('state is not included in the list');
  const line = `status ${textOf(body, 'context', 'default')}`;
  if (shows.log.filter((told) => told.startsWith(`${line} `)).length >= MOST_STATUSES)
    wrong.push('This SHA and context has reached the maximum number of statuses.');
  if (wrong.length > 0) return invalid(wrong);
  shows.log.push(`${line} ${textOf(body, 'state')}`);
  shows.links.set(textOf(body, 'context'), textOf(body, 'target_url'));
  return { status: 201, body: { id: shows.log.length, state: body['state'] } };
}

function listed(query: URLSearchParams, { deployments }: Shows): unknown {
  const wanted = { sha: query.get('sha'), environment: query.get('environment') };
  return deployments
    .filter(({ sha, environment }) => sha === wanted.sha && environment === wanted.environment)
    .toReversed();
}

/** Without `auto_merge: false` and an empty list of contexts GitHub merges, or refuses with 409. */
function make(body: Asked['body'], shows: Shows): Answered {
  const wrong = wrongIn(body, { ref: { most: 255, required: true }, environment: { most: 255 } });
  if (wrong.length > 0) return invalid(wrong);
  if (body['auto_merge'] !== false) return { status: 202, body: { message: 'Auto-merged main into the ref.' } };
  if (!Array.isArray(body['required_contexts']) || body['required_contexts'].length > 0)
    return { status: 409, body: { message: 'Conflict: Commit status checks failed.' } };
  const made = {
    id: 4_000_000_000 + shows.deployments.length,
    sha: textOf(body, 'ref'),
    environment: textOf(body, 'environment', 'production'),
    payload: body['payload'] ?? '',
    state: 'pending',
  };
  shows.deployments.push(made);
  return { status: 201, body: made };
}

function move(id: number, body: Asked['body'], shows: Shows): Answered {
  const deployment = shows.deployments.find((one) => one.id === id);
  if (deployment === undefined) return { status: 404, body: { message: 'Not Found' } };
  const wrong = wrongIn(body, {
    description: { most: 140 },
    log_url: { most: 2_000, url: true },
    environment_url: { most: 2_000, url: true },
  });
  if (!DEPLOYMENT_STATES.includes(textOf(body, 'state'))) wrong.push('state is not included in the list');
  if (wrong.length > 0) return invalid(wrong);
  deployment.state = textOf(body, 'state');
  shows.log.push(`deployment ${deployment.environment} ${deployment.state}`);
  shows.links.set(deployment.environment, textOf(body, 'log_url'));
  if (typeof body['environment_url'] === 'string') shows.addresses.set(deployment.environment, body['environment_url']);
  return { status: 201, body: { id: shows.log.length } };
}

function invalid(wrong: readonly string[]): Answered {
  return { status: 422, body: { message: 'Validation Failed', errors: wrong } };
}
