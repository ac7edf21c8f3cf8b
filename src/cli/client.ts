import { randomUUID } from 'node:crypto';

import { operationOf, type OperationName } from '../access/operation.ts';
import type { Answer, Given } from '../http/contract.ts';
import { TowpathError } from '../lib/error.ts';
import { CliError } from './cli-error.ts';
import { readEvents, type ReceivedEvent } from './event-source.ts';
import type { Settings } from './settings.ts';

/** The parts of a question that the operation has, and no others. */
export type Question<Name extends OperationName> = {
  readonly [Key in 'params' | 'query' | 'body' as [Given<Name, Key>] extends [undefined] ? never : Key]: Given<
    Name,
    Key
  >;
};

type Args<Name extends OperationName> = keyof Question<Name> extends never ? [] : [question: Question<Name>];

/** The server, as typed as its routes. Every answer is checked before a command believes it. */
export interface Client {
  readonly server: string;
  /** @throws TowpathError with the server's own code, or `cli.server-unreachable` */
  call<Name extends OperationName>(name: Name, ...question: Args<Name>): Promise<Answer<Name>>;
  /** A file, as it comes. */
  bytes(name: 'evidence.file', question: AnyQuestion): AsyncIterable<Uint8Array>;
  /** Server-sent events, until the server ends them, the connection breaks (it throws) or the signal comes. */
  stream(
    name: 'event.follow' | 'log.follow' | 'output.follow',
    question: AnyQuestion,
    signal: AbortSignal,
  ): AsyncIterable<ReceivedEvent>;
}

interface AnyQuestion {
  readonly params?: Readonly<Record<string, unknown>> | undefined;
  readonly query?: Readonly<Record<string, unknown>> | undefined;
  readonly body?: unknown;
}

export function createClient({ server, token }: Settings, signal: AbortSignal): Client {
  async function send(
    name: OperationName,
    question: AnyQuestion,
    headers: Record<string, string>,
    signal: AbortSignal,
  ) {
    const [method = 'GET', path = '/'] = operationOf(name).route.split(' ');
    const isWrite = method !== 'GET';
    const init: RequestInit = {
      method,
      signal,
      redirect: 'error', // a token goes to the server that was named and to no other
      headers: {
        ...headers,
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        // The same key on every attempt: a retry after a broken connection does nothing twice.
        ...(isWrite ? { 'content-type': 'application/json', 'idempotency-key': randomUUID() } : {}),
      },
      ...(isWrite && question.body !== undefined ? { body: JSON.stringify(question.body) } : {}),
    };
    const response = await reach(server, urlOf(path, question), init, isWrite ? 2 : 1);
    if (!response.ok) throw await problemIn(response, server);
    return response;
  }

  return {
    server,
    call: async (name, ...[question]) => {
      const response = await send(name, question ?? {}, { accept: 'application/json' }, signal);
      const { CONTRACT } = await import('../http/contract.ts'); // schemas load while the server thinks
      const { answer } = CONTRACT[name];
      if (answer === null) return undefined as Answer<typeof name>;
      const parsed = answer.safeParse(await bodyOf(response));
      if (!parsed.success) throw notTowpath(server);
      return parsed.data as Answer<typeof name>;
    },
    bytes: async function* (name, question) {
      const response = await send(name, question, { accept: '*/*' }, signal);
      if (response.body !== null) yield* response.body;
    },
    stream: async function* (name, question, signal) {
      const response = await send(name, question, { accept: 'text/event-stream' }, signal);
      if (response.body !== null) yield* readEvents(response.body);
    },
  };
}

async function reach(server: string, path: string, init: RequestInit, attempts: number): Promise<Response> {
  try {
    return await fetch(`${server}${path}`, init);
  } catch (error) {
    if (init.signal?.aborted) throw cancelled();
    if (attempts > 1) return reach(server, path, init, attempts - 1);
    throw new CliError(
      {
        code: 'cli.server-unreachable',
        what: `No server answers at ${server}.`,
        fix: 'Start one with `towpath up`, or name another with --server or TOWPATH_SERVER.',
      },
      { cause: error },
    );
  }
}

function urlOf(path: string, { params = {}, query = {} }: AnyQuestion): string {
  const filled = path.replace(/:(\w+)/g, (_whole, name: string) => encodeURIComponent(wordOf(params[name])));
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
  const search = new URLSearchParams(Object.fromEntries(pairs.map(([key, value]) => [key, wordOf(value)]))).toString();
  return search === '' ? filled : `${filled}?${search}`;
}

function wordOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

async function problemIn(response: Response, server: string): Promise<TowpathError> {
  const body = await bodyOf(response).catch(() => null);
  const { code, what, fix } = (body ?? {}) as Partial<Record<'code' | 'what' | 'fix', unknown>>;
  if (typeof code === 'string' && typeof what === 'string' && typeof fix === 'string')
    return new TowpathError({ code, what, fix });
  return notTowpath(server);
}

async function bodyOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

function notTowpath(server: string): CliError {
  return new CliError({
    code: 'cli.answer-malformed',
    what: `What answers at ${server} is not Towpath, or another version of it.`,
    fix: 'Compare `towpath --version` with `towpath doctor`, or name another server with --server.',
  });
}

export function cancelled(): CliError {
  return new CliError({ code: 'cli.cancelled', what: 'Stopped.', fix: 'What was started on the server goes on.' });
}
