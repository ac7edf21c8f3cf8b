import { setTimeout as wait } from 'node:timers/promises';

import { Agent, EnvHttpProxyAgent, request, type Dispatcher } from 'undici';
import { z } from 'zod';

import type { Clock } from '../../lib/clock.ts';
import { readUpTo } from '../../lib/read-up-to.ts';
import type { ClusterAccess } from './access.ts';
import { tokenSource } from './credential.ts';
import { KubernetesRefused, notApi, type Refusal, tooLarge, tooMany, unreachable } from './kubernetes-error.ts';

/** One cluster, spoken to by its API as one user. Paths are those of the API, without a query: `/api/v1/namespaces/shop/pods`. */
export interface Kubernetes {
  readonly server: string;
  /** The namespace that the kubeconfig names; null where it names none. */
  readonly namespace: string | null;
  /** @returns null when there is none */
  get(path: string, options?: Call): Promise<KubernetesObject | null>;
  /** All of them, page by page. An unknown kind has none: null. */
  list(path: string, options?: Call & Selectors): Promise<KubernetesObject[] | null>;
  /** @returns null when there is one of that name */
  create(path: string, object: unknown, options?: Call): Promise<KubernetesObject | null>;
  /** Server-side apply. @throws KubernetesError `kubernetes.conflict` when another manager owns a field, unless it is forced */
  apply(path: string, object: unknown, options: Call & Apply): Promise<KubernetesObject>;
  /** A merge patch (RFC 7386). @returns null when there is none */
  merge(path: string, patch: unknown, options?: Call): Promise<KubernetesObject | null>;
  /** The object as a whole, if it still is of the `resourceVersion` that it says. @returns null when it is not, or gone */
  replace(path: string, object: unknown, options?: Call): Promise<KubernetesObject | null>;
  /** What was there goes, with what it owns. @returns false when there was none, or when it is not the one that was meant */
  remove(path: string, options?: Call & { readonly uid?: string; readonly resourceVersion?: string }): Promise<boolean>;
  /** What is no JSON, such as a log. @returns null when there is none */
  text(path: string, query: Readonly<Record<string, string>>, options?: Call): Promise<string | null>;
  close(): Promise<void>;
}

export interface Call {
  /** As the end of "The Kubernetes API could not ...". */
  readonly doing?: string;
  readonly signal?: AbortSignal;
}

export interface Selectors {
  /** `name=value`, all of them. */
  readonly labels?: readonly string[];
  readonly fields?: readonly string[];
}

export interface Apply {
  readonly manager: string;
  /** Fields of other managers are taken over. */
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

export type KubernetesObject = z.infer<typeof KubernetesObject>;
/** What every object of the API is. */
export const KubernetesObject = z.looseObject({
  apiVersion: z.string().optional(),
  kind: z.string().optional(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string(),
    /** Empty of what a dry run would make. */
    resourceVersion: z.string().default(''),
    generation: z.number().optional(),
    creationTimestamp: z.string().optional(),
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
});

const List = z.looseObject({
  metadata: z.looseObject({ continue: z.string().optional() }),
  items: z.array(KubernetesObject),
});
const Status = z.looseObject({
  message: z.string().optional(),
  reason: z.string().optional(),
  details: z
    .looseObject({
      causes: z
        .array(
          z.looseObject({
            reason: z.string().optional(),
            message: z.string().optional(),
            field: z.string().optional(),
          }),
        )
        .optional(),
    })
    .optional(),
});

const TIME_MS = 30_000;
const MOST_BYTES = 32 * 1024 * 1024;
const PAGE = 500;
const MOST_PAGES = 200;
/** A server that begins, or has too much to do, is asked again: every call of ours may be repeated. */
const TRIES = 4;
const AGAIN = new Set([429, 502, 503, 504]);

export interface KubernetesParts {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** How many are listed at once. */
  readonly pageSize?: number;
}

/** Asks nothing yet. */
export function connectKubernetes(access: ClusterAccess, parts: KubernetesParts): Kubernetes {
  const { server, namespace } = access;
  const dispatcher = dispatcherFor(access, parts.environment);
  const credential = tokenSource(access.credential, parts);

  const once = async (method: Method, url: string, sent: Sent): Promise<Answer> => {
    const token = await credential.token();
    const timeout = AbortSignal.timeout(TIME_MS);
    const { statusCode, headers, body } = await request(url, {
      method,
      dispatcher,
      signal: sent.signal === undefined ? timeout : AbortSignal.any([sent.signal, timeout]),
      headers: {
        accept: 'application/json',
        'user-agent': 'towpath',
        ...(sent.type === undefined ? {} : { 'content-type': sent.type }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      body: sent.body === undefined ? null : JSON.stringify(sent.body),
    });
    const bytes = await readUpTo(body, MOST_BYTES);
    if (bytes === null) throw tooLarge(sent.doing, MOST_BYTES);
    return { status: statusCode, text: bytes.toString('utf8'), pauseMs: Number(headers['retry-after'] ?? 0) * 1000 };
  };

  const call = async (method: Method, path: string, query: Query, sent: Sent): Promise<Answer> => {
    const text = new URLSearchParams(query).toString();
    const url = `${server}${path}${text === '' ? '' : `?${text}`}`;
    for (let tries = 1, renewed = false; ; tries++) {
      let answer: Answer | null = null;
      try {
        answer = await once(method, url, sent);
      } catch (error) {
        sent.signal?.throwIfAborted();
        if (tries >= TRIES || !isNetwork(error)) throw isNetwork(error) ? unreachable(server, wordsOf(error)) : error;
      }
      if (answer?.status === 401 && !renewed && credential.forget()) {
        renewed = true;
        continue;
      }
      if (answer !== null && (!AGAIN.has(answer.status) || tries >= TRIES)) return answer;
      await wait(Math.min(answer?.pauseMs || 100 * 2 ** tries, 5000), undefined, { signal: sent.signal });
    }
  };

  const read = <T>(schema: z.ZodType<T>, answer: Answer, sent: Sent): T => {
    const parsed = schema.safeParse(jsonOf(expectGood(answer, sent).text));
    if (parsed.success) return parsed.data;
    throw notApi(server, sent.doing); // such as the page of a proxy that asks for a password
  };
  const object = (answer: Answer, sent: Sent): KubernetesObject => read(KubernetesObject, answer, sent);
  const sentOf = ({ doing, signal }: Call, fallback: string): Sent => ({
    doing: doing ?? fallback,
    ...(signal === undefined ? {} : { signal }),
  });

  return {
    server,
    namespace,
    get: async (path, options = {}) => {
      const sent = sentOf(options, `look at ${path}`);
      const answer = await call('GET', path, {}, sent);
      return answer.status === 404 ? null : object(answer, sent);
    },
    list: async (path, { labels = [], fields = [], ...options } = {}) => {
      const sent = sentOf(options, `list ${path}`);
      const selectors = {
        ...(labels.length === 0 ? {} : { labelSelector: labels.join(',') }),
        ...(fields.length === 0 ? {} : { fieldSelector: fields.join(',') }),
      };
      const items: KubernetesObject[] = [];
      for (let next = '', pages = 0; pages < MOST_PAGES; pages++) {
        const query = {
          limit: String(parts.pageSize ?? PAGE),
          ...selectors,
          ...(next === '' ? {} : { continue: next }),
        };
        const answer = await call('GET', path, query, sent);
        if (answer.status === 404) return null;
        const page = read(List, answer, sent);
        items.push(...page.items);
        next = page.metadata.continue ?? '';
        if (next === '') return items;
      }
      throw tooMany(sent.doing, MOST_PAGES);
    },
    create: async (path, body, options = {}) => {
      const sent = { ...sentOf(options, `make an object at ${path}`), body, type: 'application/json' };
      const answer = await call('POST', path, {}, sent);
      return answer.status === 409 ? null : object(answer, sent);
    },
    apply: async (path, body, { manager, force = false, dryRun = false, ...options }) => {
      const sent = { ...sentOf(options, `apply ${path}`), body, type: 'application/apply-patch+yaml' };
      const query = { fieldManager: manager, force: String(force), ...(dryRun ? { dryRun: 'All' } : {}) };
      return object(await call('PATCH', path, query, sent), sent);
    },
    merge: async (path, body, options = {}) => {
      const sent = { ...sentOf(options, `change ${path}`), body, type: 'application/merge-patch+json' };
      const answer = await call('PATCH', path, {}, sent);
      return answer.status === 404 ? null : object(answer, sent);
    },
    replace: async (path, body, options = {}) => {
      const sent = { ...sentOf(options, `change ${path}`), body, type: 'application/json' };
      const answer = await call('PUT', path, {}, sent);
      return answer.status === 404 || answer.status === 409 ? null : object(answer, sent);
    },
    remove: async (path, { uid, resourceVersion, ...options } = {}) => {
      const preconditions = {
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      };
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions };
      const sent = { ...sentOf(options, `remove ${path}`), body, type: 'application/json' };
      const answer = await call('DELETE', path, {}, sent);
      if (answer.status === 404 || answer.status === 409) return false;
      expectGood(answer, sent);
      return true;
    },
    text: async (path, query, options = {}) => {
      const sent = sentOf(options, `read ${path}`);
      const answer = await call('GET', path, query, sent);
      return answer.status === 404 ? null : expectGood(answer, sent).text;
    },
    close: () => dispatcher.close(),
  };
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
type Query = Readonly<Record<string, string>>;

interface Sent {
  readonly doing: string;
  readonly signal?: AbortSignal;
  readonly body?: unknown;
  readonly type?: string;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly pauseMs: number;
}

function expectGood(answer: Answer, { doing }: Sent): Answer {
  if (answer.status >= 200 && answer.status < 300) return answer;
  throw new KubernetesRefused(doing, refusalOf(answer));
}

function refusalOf({ status, text }: Answer): Refusal {
  const said = Status.safeParse(jsonOf(text)).data;
  return {
    status,
    reason: said?.reason ?? '',
    message: (said?.message ?? `it answered ${status}`).slice(0, 2000),
    conflicts: (said?.details?.causes ?? [])
      .filter(({ reason }) => reason === 'FieldManagerConflict')
      .map(({ field, message }) => ({ field: field ?? '', message: message ?? '' })),
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** No answer is followed to another address: `request` of undici does not. */
function dispatcherFor({ server, tls, proxy }: ClusterAccess, environment: KubernetesParts['environment']): Dispatcher {
  const connect = { ...tls };
  const isHere = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(server).hostname);
  if (isHere && proxy === undefined) return new Agent({ connect });
  const given = (name: string): string => environment[name.toLowerCase()] ?? environment[name] ?? '';
  return new EnvHttpProxyAgent({
    connect,
    requestTls: connect,
    httpProxy: proxy ?? given('HTTP_PROXY'),
    httpsProxy: proxy ?? given('HTTPS_PROXY'),
    noProxy: proxy === undefined ? given('NO_PROXY') : '',
  });
}

const NETWORK =
  /^(?:ECONN|ENOTFOUND|EAI_|EHOST|ENET|EPIPE|ETIMEDOUT|UND_ERR_|ERR_TLS|ERR_SSL|CERT_|DEPTH_|SELF_|UNABLE_)/;

function isNetwork(error: unknown): boolean {
  return error instanceof Error && (error.name === 'TimeoutError' || NETWORK.test(codeOf(error)));
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : '';
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? codeOf(error) || error.message : String(error);
}
