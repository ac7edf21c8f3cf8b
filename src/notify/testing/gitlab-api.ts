import { sha256Hex } from '../../lib/digest.ts';
import { type Answered, type Asked, type HostApi, type Shows, textOf, wrongIn } from './stand-in.ts';

const STATUS_STATES = ['pending', 'running', 'success', 'failed', 'canceled', 'skipped'];
const DEPLOYMENT_STATES = ['running', 'success', 'failed', 'canceled'];
const ENVIRONMENT = /^(?!\/)[\w${}. /-]{1,255}(?<!\/)$/;
const EVENTS: Readonly<Record<string, string>> = {
  pending: 'enqueue',
  running: 'run',
  success: 'succeed',
  failed: 'drop',
  canceled: 'cancel',
};

/** @see docs.gitlab.com, REST API v4: commits, deployments, environments */
export const gitlabApi: HostApi = {
  prefix: '/api/v4/projects/team%2Fshop',
  knows: (token, headers) => headers['private-token'] === token || headers.authorization === `Bearer ${token}`,
  answer({ method, path, query, body }, shows) {
    const [, noun = '', id = '', more = ''] = path.split('/');
    if (method === 'POST' && noun === 'statuses') return status(id, body, shows);
    if (method === 'GET' && path === '/deployments') return { status: 200, body: listed(query, shows) };
    if (method === 'POST' && path === '/deployments') return make(body, shows);
    if (method === 'PUT' && noun === 'deployments') return move(Number(id), body, shows);
    if (method === 'PUT' && noun === 'environments') return give(Number(id), body, shows);
    if (method === 'POST' && noun === 'environments' && more === 'stop') return stop(Number(id), shows);
    return null;
  },
};

/** A status that goes on cannot be given the state that it has; one that is over is followed by a new one. */
function status(sha: string, body: Asked['body'], shows: Shows): Answered {
  if (shows.commits.size > 0 && !shows.commits.has(sha)) return failed(404, '404 Commit Not Found');
  const text = { most: 255 };
  const wrong = wrongIn(body, { description: text, name: text, ref: text, target_url: { most: 255, url: true } });
  const state = textOf(body, 'state');
  if (!STATUS_STATES.includes(state)) wrong.push('state does not have a valid value');
  if (wrong.length > 0) return failed(400, wrong.join(', '));
  const name = textOf(body, 'name', 'default');
  const last = shows.log.findLast((line) => line.startsWith(`status ${name} `));
  if (last === `status ${name} ${state}` && (state === 'pending' || state === 'running'))
    return failed(400, `Cannot transition status via :${EVENTS[state]} from :${state}`);
  shows.log.push(`status ${name} ${state}`);
  shows.links.set(name, textOf(body, 'target_url'));
  return { status: 201, body: { id: shows.log.length, status: state, pipeline_id: 77 } };
}

function listed(query: URLSearchParams, { deployments }: Shows): unknown {
  return deployments
    .filter(({ environment, state }) => environment === query.get('environment') && state === query.get('status'))
    .map((one) => ({ ...seen(one), deployable: null }))
    .toReversed();
}

function seen({ id, sha, environment, state }: Shows['deployments'][number]) {
  return { id, sha, status: state, environment: { id: idOf(environment), name: environment } };
}

/** The same name has the same id. */
function idOf(environment: string): number {
  return Number.parseInt(sha256Hex(environment).slice(0, 8), 16);
}

function make(body: Asked['body'], shows: Shows): Answered {
  const required = { most: 255, required: true };
  const wrong = wrongIn(body, { environment: required, sha: required, ref: { most: 1_000, required: true } });
  if (typeof body['tag'] !== 'boolean') wrong.push('tag is missing');
  if (!DEPLOYMENT_STATES.includes(textOf(body, 'status'))) wrong.push('status does not have a valid value');
  if (!ENVIRONMENT.test(textOf(body, 'environment'))) wrong.push('name can contain only letters, digits, ...');
  if (wrong.length > 0) return failed(400, wrong.join(', '));
  const made = {
    id: 100 + shows.deployments.length,
    sha: textOf(body, 'sha'),
    environment: textOf(body, 'environment'),
    payload: null,
    state: textOf(body, 'status'),
  };
  shows.deployments.push(made);
  shows.log.push(`deployment ${made.environment} ${made.state}`);
  return { status: 201, body: seen(made) };
}

function move(id: number, body: Asked['body'], shows: Shows): Answered {
  const deployment = shows.deployments.find((one) => one.id === id);
  if (deployment === undefined) return failed(404, '404 Deployment Not Found');
  const state = textOf(body, 'status');
  if (!DEPLOYMENT_STATES.includes(state)) return failed(400, 'status does not have a valid value');
  if (state === deployment.state || state === 'running')
    return failed(400, `Status cannot transition via "${EVENTS[state]}"`);
  deployment.state = state;
  shows.log.push(`deployment ${deployment.environment} ${state}`);
  return { status: 200, body: seen(deployment) };
}

function give(id: number, body: Asked['body'], shows: Shows): Answered {
  const environment = nameOf(id, shows);
  if (environment === undefined) return failed(404, '404 Environment Not Found');
  const wrong = wrongIn(body, { external_url: { most: 255, url: true } });
  if (wrong.length > 0) return failed(400, wrong.join(', '));
  shows.addresses.set(environment, textOf(body, 'external_url'));
  return { status: 200, body: { id } };
}

function stop(id: number, shows: Shows): Answered {
  const environment = nameOf(id, shows);
  if (environment === undefined) return failed(404, '404 Environment Not Found');
  shows.addresses.delete(environment);
  shows.log.push(`environment ${environment} stopped`);
  return { status: 200, body: { id } };
}

function nameOf(id: number, { deployments }: Shows): string | undefined {
  return deployments.map(({ environment }) => environment).find((name) => idOf(name) === id);
}

function failed(status: number, message: string): Answered {
  return { status, body: { message } };
}
