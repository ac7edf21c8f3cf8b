import { type Answered, type Asked, type HostApi, type Shows, textOf, wrongIn } from './stand-in.ts';

/** @see Gitea's OpenAPI file (`/swagger.v1.json`): `repoCreateStatus` */
export const giteaApi: HostApi = {
  prefix: '/api/v1/repos/team/shop',
  knows: (token, { authorization }) => authorization === `token ${token}` || authorization === `Bearer ${token}`,
  answer({ method, path, body }, shows) {
    const [, commit] = /^\/statuses\/([0-9a-f]+)$/.exec(path) ?? [];
    if (method !== 'POST' || commit === undefined) return null;
    if (isForeign(commit, shows)) return { status: 404, body: { message: 'object does not exist' } };
    const wrong = wrongIn(body, {
      context: { most: 255 },
      description: { most: 255 },
      target_url: { most: 2_000, url: true },
    });
    if (!['pending', 'success', 'error', 'failure', 'warning'].includes(textOf(body, 'state'))) wrong.push('state');
    if (wrong.length > 0) return { status: 422, body: { message: wrong.join(', ') } };
    return shown(shows, { context: body['context'], state: body['state'], url: body['target_url'] }, 201);
  },
};

/** @see developer.atlassian.com, Bitbucket Cloud REST 2.0: commit statuses */
export const bitbucketApi: HostApi = {
  prefix: '/2.0/repositories/team/shop',
  knows: (token, { authorization }) => authorization === `Bearer ${token}`,
  answer({ method, path, body }, shows) {
    const [, commit] = /^\/commit\/([0-9a-f]+)\/statuses\/build$/.exec(path) ?? [];
    if (method !== 'POST' || commit === undefined) return null;
    if (isForeign(commit, shows)) return { status: 404, body: { error: { message: 'Commit not found' } } };
    const states = ['SUCCESSFUL', 'FAILED', 'INPROGRESS', 'STOPPED'];
    return buildStatus(body, shows, { key: 40, url: 1_000, states, refusal: 400, taken: 201 });
  },
};

/** @see developer.atlassian.com, Bitbucket Data Center REST: builds and deployments */
export const bitbucketDcApi: HostApi = {
  prefix: '/rest/api/latest/projects/team/repos/shop',
  knows: (token, { authorization }) => authorization === `Bearer ${token}`,
  answer({ method, path, body }, shows) {
    const [, commit] = /^\/commits\/([0-9a-f]+)\/builds$/.exec(path) ?? [];
    if (method !== 'POST' || commit === undefined) return null;
    if (isForeign(commit, shows)) return { status: 404, body: { errors: [{ message: 'Commit does not exist' }] } };
    const states = ['SUCCESSFUL', 'FAILED', 'INPROGRESS', 'CANCELLED', 'UNKNOWN'];
    return buildStatus(body, shows, { key: 255, url: 450, states, refusal: 400, taken: 204 });
  },
};

function buildStatus(
  body: Asked['body'],
  shows: Shows,
  limits: { key: number; url: number; states: readonly string[]; refusal: number; taken: number },
): Answered {
  const wrong = wrongIn(body, {
    key: { most: limits.key, required: true },
    name: { most: 255 },
    description: { most: 255 },
    url: { most: limits.url, required: true, url: true },
    ref: { most: 1_024 },
  });
  if (!limits.states.includes(textOf(body, 'state'))) wrong.push('state is not one of the states');
  if (typeof body['ref'] === 'string' && !body['ref'].startsWith('refs/')) wrong.push('ref is not qualified');
  if (wrong.length > 0) return { status: limits.refusal, body: { errors: wrong } };
  return shown(shows, { context: body['key'], state: body['state'], url: body['url'] }, limits.taken);
}

function shown(
  shows: Shows,
  { context, state, url }: { context: unknown; state: unknown; url: unknown },
  status: number,
): Answered {
  shows.log.push(`status ${String(context)} ${String(state)}`);
  shows.links.set(String(context), String(url));
  return status === 204 ? { status } : { status, body: { state } };
}

function isForeign(commit: string, { commits }: Shows): boolean {
  return commits.size > 0 && !commits.has(commit);
}
