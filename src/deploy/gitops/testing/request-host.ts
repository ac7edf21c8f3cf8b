import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Forge, ForgeRepository } from '../../../git/testing/forge.ts';

export type RequestHostKind = 'github' | 'gitlab' | 'gitea' | 'bitbucket' | 'bitbucket-dc';

/** A pull (merge) request as the host keeps it. */
interface KeptRequest {
  readonly number: number;
  readonly head: string;
  readonly base: string;
  readonly title: string;
  readonly body: string;
  state: 'open' | 'merged' | 'closed';
  version: number;
}

interface Answered {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Asked {
  readonly method: string;
  /** Below the repository, without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What differs between the hosts: where the calls are, their fields, their words and their refusals. */
interface Dialect {
  readonly prefix: string;
  answer(asked: Asked, host: Requested): Answered | null;
}

interface Requested {
  readonly requests: KeptRequest[];
  readonly url: string;
  readonly open: (wish: Pick<KeptRequest, 'head' | 'base' | 'title' | 'body'>) => KeptRequest;
}

export interface RequestHost extends Pick<Requested, 'requests'> {
  /** Every call: method and path below the repository. */
  readonly calls: readonly string[];
  /** When set, may answer in place of the host; `unheard`: it does its work, and the connection breaks. */
  trouble: ((asked: Asked) => Answered | 'unheard' | undefined) | undefined;
  /** Called with each that was opened. */
  onOpened: ((request: KeptRequest) => void) | undefined;
  /** As the buttons of the host do it, with the real git. */
  merge(request: KeptRequest, how?: 'merge' | 'squash' | 'rebase'): Promise<void>;
  close(request: KeptRequest): void;
  /** The newest. */
  last(): KeptRequest;
}

export const REQUEST_TOKEN = 'canary-token-of-the-requests';

/**
 * The calls about pull (merge) requests of one kind of host, before the real git server of the tests: no host of these can run here.
 * It keeps what the documentation of each says of paths, fields and refusals; that the hosts themselves do so is not proven by it.
 */
export function requestHost(forge: Forge, repository: ForgeRepository, kind: RequestHostKind): RequestHost {
  const dialect = DIALECTS[kind];
  const requests: KeptRequest[] = [];
  const calls: string[] = [];
  const url = repository.url.replace(/\.git$/, '');
  const inner: Requested = {
    requests,
    url,
    open: (wish) => {
      const made: KeptRequest = { ...wish, number: requests.length + 1, state: 'open', version: 0 };
      requests.push(made);
      return made;
    },
  };
  const host: RequestHost = {
    requests,
    calls,
    trouble: undefined,
    onOpened: undefined,
    merge: async (request, how = 'merge') => {
      const [base, head] = await Promise.all([
        repository.git('rev-parse', `refs/heads/${request.base}`),
        repository.git('rev-parse', `refs/heads/${request.head}`),
      ]);
      const tree = (await repository.git('merge-tree', '--write-tree', base, head)).split('\n')[0] ?? '';
      const parents = how === 'merge' ? ['-p', base, '-p', head] : ['-p', base];
      const merged = await repository.git('commit-tree', tree, ...parents, '-m', `${how} of #${request.number}`);
      await repository.git('update-ref', `refs/heads/${request.base}`, merged, base);
      request.state = 'merged';
    },
    close: (request) => {
      request.state = 'closed';
      request.version += 1;
    },
    last: () => {
      const last = requests.at(-1);
      if (last === undefined) throw new Error('Nothing was opened.');
      return last;
    },
  };
  forge.api = (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://forge');
    if (!pathname.startsWith(dialect.prefix)) return false;
    void answerTo(request, response, async (body) => {
      const asked = {
        method: request.method ?? '',
        path: pathname.slice(dialect.prefix.length),
        query: searchParams,
        body,
      };
      calls.push(`${asked.method} ${asked.path}`);
      const trouble = host.trouble?.(asked);
      if (trouble !== undefined && trouble !== 'unheard') return trouble;
      if (
        request.headers.authorization !== `Bearer ${REQUEST_TOKEN}` &&
        request.headers.authorization !== `token ${REQUEST_TOKEN}`
      )
        return { status: 401, body: { message: 'Bad credentials' } };
      const before = requests.length;
      const refused = await headMissing(repository, asked, dialect);
      const answer = refused ?? dialect.answer(asked, inner) ?? { status: 404, body: { message: 'Not Found' } };
      if (requests.length > before) host.onOpened?.(host.last());
      return trouble ?? answer;
    });
    return true;
  };
  return host;
}

/** A host opens none from a branch that it does not have. */
async function headMissing(
  repository: ForgeRepository,
  { method, body }: Asked,
  { prefix }: Dialect,
): Promise<Answered | null> {
  const text = JSON.stringify(body);
  const head = /towpath\/[a-z0-9/-]+/.exec(text)?.[0];
  if (method !== 'POST' || head === undefined || prefix === '') return null;
  const there = await repository.git('for-each-ref', `refs/heads/${head}`);
  return there === ''
    ? { status: 422, body: { message: 'Validation Failed', errors: [{ field: 'head', code: 'invalid' }] } }
    : null;
}

async function answerTo(
  request: IncomingMessage,
  response: ServerResponse,
  answerOf: (body: Readonly<Record<string, unknown>>) => Promise<Answered | 'unheard'>,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const answer = await answerOf(text === '' ? {} : (JSON.parse(text) as Record<string, unknown>));
  if (answer === 'unheard') {
    request.socket.destroy();
    return;
  }
  response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
  response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
}

function between(requests: readonly KeptRequest[], head: string | null, base: string | null): KeptRequest[] {
  return requests.filter((one) => one.head === head && one.base === base).toReversed();
}

function text(body: Readonly<Record<string, unknown>>, ...path: readonly string[]): string {
  const value = path.reduce<unknown>((part, name) => (part as Record<string, unknown> | undefined)?.[name], body);
  return typeof value === 'string' ? value : '';
}

/** Opens one, or says why not; at most one is open between two branches. */
function opening(
  { requests, open }: Requested,
  wish: Pick<KeptRequest, 'head' | 'base' | 'title' | 'body'>,
  refusal: Answered,
  show: (request: KeptRequest) => unknown,
): Answered {
  if (wish.title === '' || wish.title.length > 255 || wish.head === '' || wish.base === '')
    return { status: 422, body: { message: 'Validation Failed' } };
  if (between(requests, wish.head, wish.base).some(({ state }) => state === 'open')) return refusal;
  return { status: 201, body: show(open(wish)) };
}

function numbered({ requests }: Requested, path: string): KeptRequest | undefined {
  const number = Number(/^\/[a-z_-]+\/(\d+)/.exec(path)?.[1]);
  return requests.find((one) => one.number === number);
}

/** GitHub and Gitea: a list tells when it was merged there, and whether here. */
function likeGithub(prefix: string, isGitea: boolean): Dialect {
  const show = (host: Requested) => (one: KeptRequest) => ({
    number: one.number,
    html_url: `${host.url}/pull${isGitea ? 's' : ''}/${one.number}`,
    state: one.state === 'open' ? 'open' : 'closed',
    merged_at: one.state === 'merged' ? '2026-11-30T12:00:00Z' : null,
    ...(isGitea ? { merged: one.state === 'merged' } : {}),
    title: one.title,
    body: one.body,
    head: { ref: one.head },
    base: { ref: one.base },
  });
  return {
    prefix,
    answer({ method, path, query, body }, host) {
      const one = numbered(host, path);
      if (method === 'GET' && path === '/pulls') {
        if (isGitea) {
          const [limit, page] = [Number(query.get('limit')), Number(query.get('page'))];
          const newest = host.requests.toReversed().slice((page - 1) * limit, page * limit);
          return { status: 200, body: newest.map(show(host)) };
        }
        const head = query.get('head')?.replace(/^team:/, '') ?? null;
        return { status: 200, body: between(host.requests, head, query.get('base')).map(show(host)) };
      }
      if (method === 'POST' && path === '/pulls')
        return opening(
          host,
          { head: text(body, 'head'), base: text(body, 'base'), title: text(body, 'title'), body: text(body, 'body') },
          isGitea
            ? { status: 409, body: { message: 'pull request already exists for these targets' } }
            : {
                status: 422,
                body: { message: 'Validation Failed', errors: [{ message: 'A pull request already exists' }] },
              },
          show(host),
        );
      if (one === undefined) return null;
      if (method === 'PATCH' && body['state'] === 'closed' && one.state === 'open') one.state = 'closed';
      return { status: method === 'PATCH' && isGitea ? 201 : 200, body: show(host)(one) };
    },
  };
}

const gitlab: Dialect = {
  prefix: '/api/v4/projects/team%2Fmanifests',
  answer({ method, path, query, body }, host) {
    const show = (one: KeptRequest) => ({
      iid: one.number,
      id: 1000 + one.number,
      web_url: `${host.url}/-/merge_requests/${one.number}`,
      state: one.state === 'open' ? 'opened' : one.state,
      source_branch: one.head,
      target_branch: one.base,
    });
    if (method === 'GET' && path === '/merge_requests')
      return {
        status: 200,
        body: between(host.requests, query.get('source_branch'), query.get('target_branch')).map(show),
      };
    if (method === 'POST' && path === '/merge_requests')
      return opening(
        host,
        {
          head: text(body, 'source_branch'),
          base: text(body, 'target_branch'),
          title: text(body, 'title'),
          body: text(body, 'description'),
        },
        { status: 409, body: { message: ['Another open merge request already exists for this source branch: !1'] } },
        show,
      );
    const one = numbered(host, path);
    if (one === undefined) return null;
    if (method === 'PUT' && body['state_event'] === 'close' && one.state === 'open') one.state = 'closed';
    return { status: 200, body: show(one) };
  },
};

const bitbucket: Dialect = {
  prefix: '/2.0/repositories/team/manifests',
  answer({ method, path, query, body }, host) {
    const show = (one: KeptRequest) => ({
      type: 'pullrequest',
      id: one.number,
      state: { open: 'OPEN', merged: 'MERGED', closed: 'DECLINED' }[one.state],
      links: { html: { href: `${host.url}/pull-requests/${one.number}` } },
    });
    if (method === 'GET' && path === '/pullrequests') {
      const [, head = '', base = ''] =
        /^source\.branch\.name = "([^"]*)" AND destination\.branch\.name = "([^"]*)"$/.exec(query.get('q') ?? '') ?? [];
      const states = query.getAll('state');
      const found = between(host.requests, head, base)
        .map(show)
        .filter(({ state }) => states.includes(state));
      return { status: 200, body: { values: found, pagelen: 10, size: found.length } };
    }
    if (method === 'POST' && path === '/pullrequests') {
      const wish = {
        head: text(body, 'source', 'branch', 'name'),
        base: text(body, 'destination', 'branch', 'name'),
        title: text(body, 'title'),
        body: text(body, 'description'),
      };
      const [open] = between(host.requests, wish.head, wish.base).filter(({ state }) => state === 'open');
      // one that is open between the two is changed, and none is made
      return open === undefined ? opening(host, wish, { status: 409 }, show) : { status: 201, body: show(open) };
    }
    const one = numbered(host, path);
    if (one === undefined) return null;
    if (method === 'POST' && path.endsWith('/decline')) {
      if (one.state !== 'open') return { status: 555, body: { error: { message: 'already closed' } } };
      one.state = 'closed';
    }
    return { status: 200, body: show(one) };
  },
};

const bitbucketDc: Dialect = {
  prefix: '/rest/api/latest/projects/team/repos/manifests',
  answer({ method, path, query, body }, host) {
    const show = (one: KeptRequest) => ({
      id: one.number,
      version: one.version,
      state: { open: 'OPEN', merged: 'MERGED', closed: 'DECLINED' }[one.state],
      links: { self: [{ href: `${host.url}/pull-requests/${one.number}` }] },
      fromRef: { id: `refs/heads/${one.head}`, displayId: one.head },
      toRef: { id: `refs/heads/${one.base}`, displayId: one.base },
    });
    if (method === 'GET' && path === '/pull-requests') {
      const outgoing = query.get('direction') === 'OUTGOING' && query.get('state') === 'ALL';
      const values = host.requests.filter(({ head }) => outgoing && `refs/heads/${head}` === query.get('at'));
      return { status: 200, body: { values: values.toReversed().map(show), isLastPage: true } };
    }
    if (method === 'POST' && path === '/pull-requests') {
      const isHere = ['fromRef', 'toRef'].every(
        (ref) =>
          text(body, ref, 'repository', 'slug') === 'manifests' &&
          text(body, ref, 'repository', 'project', 'key') === 'team',
      );
      if (!isHere) return { status: 400, body: { errors: [{ message: 'no such repository' }] } };
      return opening(
        host,
        {
          head: text(body, 'fromRef', 'id').replace('refs/heads/', ''),
          base: text(body, 'toRef', 'id').replace('refs/heads/', ''),
          title: text(body, 'title'),
          body: text(body, 'description'),
        },
        { status: 409, body: { errors: [{ message: 'Only one pull request may be open' }] } },
        show,
      );
    }
    const one = numbered(host, path);
    if (one === undefined) return null;
    if (method === 'POST' && path.endsWith('/decline')) {
      if (Number(query.get('version')) !== one.version || one.state !== 'open')
        return { status: 409, body: { errors: [{ message: 'it was changed meanwhile' }] } };
      one.state = 'closed';
      one.version += 1;
    }
    return { status: 200, body: show(one) };
  },
};

const DIALECTS: Readonly<Record<RequestHostKind, Dialect>> = {
  github: likeGithub('/api/v3/repos/team/manifests', false),
  gitea: likeGithub('/api/v1/repos/team/manifests', true),
  gitlab,
  bitbucket,
  'bitbucket-dc': bitbucketDc,
};

export const REQUEST_HOSTS = Object.keys(DIALECTS) as readonly RequestHostKind[];
