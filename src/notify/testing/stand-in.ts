import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';

import { bitbucketApi, bitbucketDcApi, giteaApi } from './statuses-api.ts';
import { githubApi } from './github-api.ts';
import { gitlabApi } from './gitlab-api.ts';

export interface Asked {
  readonly method: string;
  /** Below the repository, without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Answered {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The calls of one kind of host, with the validations that its documentation names. */
export interface HostApi {
  /** Where a repository's calls are. */
  readonly prefix: string;
  /** Whether the headers carry this token in a form that the host takes. */
  knows(token: string, headers: IncomingHttpHeaders): boolean;
  /** @returns null for what it has no call for */
  answer(asked: Asked, shows: Shows): Answered | null;
}

/** What the host shows, in its own words: `status towpath/build pending`. */
export interface Shows {
  /** Everything that was told, in order. */
  readonly log: string[];
  /** Commits that the repository has; empty: any. */
  readonly commits: Set<string>;
  /** Addresses of environments, as the host links them. */
  readonly addresses: Map<string, string>;
  readonly deployments: Deployment[];
  /** Where the last status of a context, or the log of an environment, leads. */
  readonly links: Map<string, string>;
}

export interface Deployment {
  readonly id: number;
  readonly sha: string;
  readonly environment: string;
  readonly payload: unknown;
  state: string;
}

export interface StandIn extends Shows {
  /** Where its calls begin. */
  readonly prefix: string;
  /** Every request: method, path and headers as they came. */
  readonly requests: { readonly line: string; readonly headers: IncomingHttpHeaders }[];
  /** When set, may answer in place of the host; `unheard`: it does its work, and the connection breaks. */
  trouble: ((asked: Asked) => Answered | 'unheard' | undefined) | undefined;
  serve(request: IncomingMessage, response: ServerResponse): void;
}

const APIS = {
  github: githubApi,
  gitlab: gitlabApi,
  gitea: giteaApi,
  bitbucket: bitbucketApi,
  'bitbucket-dc': bitbucketDcApi,
} as const satisfies Record<string, HostApi>;

export type HostKind = keyof typeof APIS;

export const HOST_KINDS = Object.keys(APIS) as readonly HostKind[];

/**
 * A git host's API for tests, over real HTTP: no host of these can run here. It keeps what the documentation of each says
 * of required fields, words, lengths and ids; that the hosts themselves do so is not proven by it.
 */
export function createStandIn(kind: HostKind, token: string): StandIn {
  const api: HostApi = APIS[kind];
  const standIn: StandIn = {
    prefix: api.prefix,
    requests: [],
    trouble: undefined,
    log: [],
    commits: new Set(),
    addresses: new Map(),
    deployments: [],
    links: new Map(),
    serve: (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        standIn.requests.push({ line: `${request.method} ${request.url}`, headers: request.headers });
        const asked = askedIn(request.method ?? '', request.url ?? '', api.prefix, Buffer.concat(chunks).toString());
        const trouble = standIn.trouble?.(asked);
        const own = (): Answered =>
          api.knows(token, request.headers)
            ? (api.answer(asked, standIn) ?? MISSING)
            : { status: 401, body: { message: 'Bad credentials' } };
        const answer = trouble === undefined || trouble === 'unheard' ? own() : trouble;
        if (trouble === 'unheard') {
          request.socket.destroy();
          return;
        }
        response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
        response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
      });
    },
  };
  return standIn;
}

/** On a port of its own. @returns also the URL of the repository that it knows */
export async function startStandIn(
  kind: HostKind,
  token: string,
): Promise<StandIn & { readonly repository: string; close(): Promise<void> }> {
  const standIn = createStandIn(kind, token);
  const server = createServer((request, response) => standIn.serve(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return Object.assign(standIn, {
    repository: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/team/shop`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  });
}

const MISSING: Answered = { status: 404, body: { message: 'Not Found' } };

function askedIn(method: string, target: string, prefix: string, text: string): Asked {
  const url = new URL(target, 'http://host');
  const path = url.pathname.startsWith(prefix) ? url.pathname.slice(prefix.length) : 'elsewhere';
  const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  return { method, path, query: url.searchParams, body };
}

/** What is wrong with a text field; empty when nothing is. */
export function wrongIn(
  body: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, { readonly most: number; readonly required?: boolean; readonly url?: boolean }>>,
): string[] {
  return Object.entries(fields).flatMap(([name, { most, required = false, url = false }]) => {
    const value = body[name];
    if (value === undefined || value === null || value === '') return required ? [`${name} is missing`] : [];
    if (typeof value !== 'string') return [`${name} is no text`];
    if (value.length > most) return [`${name} is too long (maximum is ${most} characters)`];
    if (url && !/^https?:\/\/[^\s]+$/.test(value)) return [`${name} must use http(s) scheme`];
    return [];
  });
}

export function textOf(body: Readonly<Record<string, unknown>>, name: string, otherwise = ''): string {
  const value = body[name] ?? otherwise;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
