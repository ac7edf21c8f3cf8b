import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';

import { outOfReach } from '../access/access-error.ts';
import type { Principal } from '../access/credential.ts';
import type { Guard } from '../access/guard.ts';
import { operationAt, operationOf, type OperationName } from '../access/operation.ts';
import { reaches } from '../access/reach.ts';
import { underOperation } from '../store/once.ts';
import { callerOf } from './caller.ts';
import { CONTRACT, type Answer, type Exchange, type Taken } from './contract.ts';
import { HttpError } from './http-error.ts';
import { ProblemDocument } from './view/problem.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    operation?: OperationName;
  }
  interface FastifyRequest {
    principal: Principal | null;
  }
}

/** One question as a handler sees it: every part validated. */
export interface Ask<Name extends OperationName> {
  readonly params: Taken<Name, 'params'>;
  readonly query: Taken<Name, 'query'>;
  readonly body: Taken<Name, 'body'>;
  /** The authenticated user. @throws AccessError where a public operation asks for one */
  readonly principal: Principal;
  readonly by: string;
  /** @throws AccessError where the caller's token does not reach this project */
  readonly within: (project: string) => void;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

export type Handler<Name extends OperationName> = (
  ask: Ask<Name>,
) => Promise<[Answer<Name>] extends [undefined] ? unknown : Answer<Name>>;

export type Route = <Name extends OperationName>(name: Name, handle: Handler<Name>) => void;

/** @returns how a route is declared: its method, path, schemas and permission all come from the tables */
export function createRouter(server: FastifyInstance, guard: Guard): Route {
  return (name, handle) => {
    const [method, url] = splitRoute(name);
    server.route({
      method,
      url,
      config: { operation: name },
      schema: schemaOf(name),
      handler: (request, reply) => answer(name, handle, request, reply, guard),
    });
  };
}

/**
 * Default deny. A route that is not in the table of operations keeps the server from starting; a request is let in only
 * when its caller has the permission that the table names.
 */
export function guardRoutes(server: FastifyInstance, guard: Guard): void {
  server.decorateRequest('principal', null);
  server.addHook('onRoute', refuseUnlisted);
  server.addHook('onRequest', async (request) => {
    const name = request.routeOptions.config.operation;
    if (request.is404 || name === undefined) return;
    if (operationOf(name).needs !== 'public') request.principal = await callerOf(request, guard);
    guard.allow(request.principal, name, projectOf(request));
  });
}

/** The project that the path or the query names. */
function projectOf({ params, query }: FastifyRequest): string | null {
  const named = { ...(query as object), ...(params as object) };
  return 'project' in named && typeof named.project === 'string' ? named.project : null;
}

export function refuseUnlisted(route: Pick<RouteOptions, 'method' | 'url' | 'config'>): void {
  const listed = operationAt(String(route.method), route.url);
  if (listed !== null && route.config?.operation === listed) return;
  throw new HttpError({
    code: 'http.route-unlisted',
    what: `The route ${String(route.method)} ${route.url} names no permission.`,
    fix: 'Enter it in src/access/operation.ts and declare it by that name.',
  });
}

async function answer<Name extends OperationName>(
  name: Name,
  handle: Handler<Name>,
  request: FastifyRequest,
  reply: FastifyReply,
  guard: Guard,
): Promise<unknown> {
  const ask: Ask<Name> = {
    params: request.params as Taken<Name, 'params'>,
    query: request.query as Taken<Name, 'query'>,
    body: request.body as Taken<Name, 'body'>,
    get principal() {
      return guard.permit(request.principal, 'access:self');
    },
    get by() {
      return guard.permit(request.principal, 'access:self').user;
    },
    within: (project) => {
      if (!reaches(ask.principal, project)) throw outOfReach(ask.principal);
    },
    request,
    reply,
  };
  const result = await underOperation(request.operationId, () => handle(ask));
  if (reply.sent || reply.raw.headersSent) return reply;
  const exchange: Exchange = CONTRACT[name];
  reply.code(exchange.status ?? 200);
  return exchange.status === 204 ? reply.send() : result;
}

/** A misspelt field must not be dropped in silence: `dryrun: true` would promote for real. Hence strict. */
function schemaOf(name: OperationName): Record<string, unknown> {
  const { params, query, body, answer, status }: Exchange = CONTRACT[name];
  return {
    ...(params === undefined ? {} : { params: params.strict() }),
    ...(query === undefined ? {} : { querystring: query.strict() }),
    ...(body === undefined ? {} : { body: body.strict() }),
    response: {
      ...(answer === null ? {} : { [status ?? 200]: answer }),
      '4xx': ProblemDocument,
      '5xx': ProblemDocument,
    },
  };
}

function splitRoute(name: OperationName): [method: string, url: string] {
  const [method = '', url = ''] = operationOf(name).route.split(' ');
  return [method, url];
}
