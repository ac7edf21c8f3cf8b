import type { IncomingMessage, ServerResponse } from 'node:http';

import { AccessError, notAllowed, outOfReach, unknownClient } from '../access/access-error.ts';
import type { Principal } from '../access/credential.ts';
import type { Guard } from '../access/guard.ts';
import { mayDo } from '../access/permission.ts';
import type { Pass, Passes } from '../access/registry-pass.ts';
import { CATALOG, covers, mayUse, permissionFor, type RegistryAction } from '../access/repository-scope.ts';
import { hasCode, type Problem, problemOf } from '../lib/error.ts';
import { accessOf, parseRoute } from '../registry/embedded/routes.ts';
import { isTransient, STORE_AWAY } from '../store/database.ts';
import { basicPasswordOf, bearerOf } from './caller.ts';
import { statusOf } from './problem.ts';
import { answerPassRequest, challengeOf, isForPass } from './registry-pass-door.ts';

/** The embedded registry as this folder needs it: it answers everything under `/v2/` by itself. */
export interface RegistryHandler {
  /** @param mayPull whether the asker may read that repository too: a mount does */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    mayPull: (repository: string) => Promise<boolean>,
  ): Promise<void>;
}

export interface RegistryDoorParts {
  readonly registry: RegistryHandler;
  readonly guard: Guard;
  readonly passes: Passes;
  /** Lets this machine's own engines pull without a token. Writing always needs one. */
  readonly openToLoopback: boolean;
}

/** Who asks: with a token (also as a password), with a pass that a token got, with nothing from this machine, or nobody. */
type Caller =
  | { readonly kind: 'token'; readonly principal: Principal }
  | { readonly kind: 'pass'; readonly pass: Pass }
  | { readonly kind: 'machine' }
  | { readonly kind: 'nobody' };

type Verdict =
  | { readonly kind: 'allowed' }
  /** A pass with this scope, or any credentials, may open it. */
  | { readonly kind: 'ask' }
  | { readonly kind: 'refused'; readonly because: AccessError };

const ALLOWED: Verdict = { kind: 'allowed' };
const ASK: Verdict = { kind: 'ask' };

export function isForRegistry(url: string | undefined): boolean {
  return url === '/v2' || (url ?? '').startsWith('/v2/');
}

/**
 * Container clients know neither our error form nor our header, so the door has its own manners: Basic (any user name,
 * the token as password), or the token flow of the distribution project (a pass for the scopes of some repositories,
 * from `/v2/token`), and the distribution API's error body.
 */
export function createRegistryDoor(parts: RegistryDoorParts) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      if (isForPass(request.url)) {
        await answerPassRequest(request, response, { ...parts, isOpen: parts.openToLoopback && isLocal(request) });
        return;
      }
      const caller = await callerOf(request, parts);
      const { repository, action } = wantedBy(request);
      const verdict = decide(caller, repository, action);
      if (verdict.kind === 'refused') throw verdict.because;
      if (verdict.kind === 'ask') {
        response.setHeader('www-authenticate', challengeOf(request, repository, action, caller.kind === 'pass'));
        throw unknownClient();
      }
      const mayPull = async (from: string) => decide(caller, from, 'pull').kind === 'allowed';
      await parts.registry.handle(request, response, mayPull);
    } catch (error) {
      refuse(error, response);
    }
  };
}

/** @param repository null for `/v2/` itself, and for what is no address of the distribution API */
function decide(caller: Caller, repository: string | null, action: RegistryAction): Verdict {
  switch (caller.kind) {
    case 'nobody':
      return ASK;
    case 'machine':
      return action === 'pull' ? ALLOWED : ASK;
    case 'pass':
      if (repository === null || covers(caller.pass.granted, repository, action)) return ALLOWED;
      if (!covers(caller.pass.asked, repository, action)) return ASK;
      return { kind: 'refused', because: notGranted(caller.pass.user, repository, action) };
    case 'token': {
      const { principal } = caller;
      const needs = permissionFor(action);
      if (!mayDo(principal.roles, needs)) return { kind: 'refused', because: notAllowed(principal.user, needs) };
      if (repository === null || mayUse(principal, repository, action)) return ALLOWED;
      return { kind: 'refused', because: outOfReach(principal) };
    }
    default:
      return caller satisfies never;
  }
}

async function callerOf(
  request: IncomingMessage,
  { guard, passes, openToLoopback }: RegistryDoorParts,
): Promise<Caller> {
  const { authorization } = request.headers;
  if (authorization === undefined) return openToLoopback && isLocal(request) ? { kind: 'machine' } : { kind: 'nobody' };
  const bearer = bearerOf(authorization);
  const pass = bearer === null ? null : await passes.read(bearer);
  if (pass !== null) return { kind: 'pass', pass };
  const secret = bearer ?? basicPasswordOf(authorization);
  const principal = secret === null ? null : await guard.identify(secret, 'token');
  return principal === null ? { kind: 'nobody' } : { kind: 'token', principal };
}

function wantedBy({ url = '', method = 'GET' }: IncomingMessage): {
  repository: string | null;
  action: RegistryAction;
} {
  const route = parseRoute(url.split('?')[0] ?? '');
  if (route === null) return { repository: null, action: method === 'GET' || method === 'HEAD' ? 'pull' : 'push' };
  const repository = 'repository' in route ? route.repository : route.kind === 'catalog' ? CATALOG : null;
  return { repository, action: accessOf(method, route) };
}

/** Both ends: the peer is this machine, and the name it asked for is too (a page that rebinds its name asks for its own). */
function isLocal(request: IncomingMessage): boolean {
  const { remoteAddress = '' } = request.socket;
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  const isPeerLocal = /^(127\.|::1$|::ffff:127\.)/.test(remoteAddress);
  return isPeerLocal && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host);
}

function notGranted(user: string, repository: string, action: RegistryAction): AccessError {
  return new AccessError({
    code: 'access.forbidden',
    what: `${user} may not ${action} ${repository === CATALOG ? 'the list of all repositories' : repository.slice(0, 255)}.`,
    fix: `It needs the permission ${permissionFor(action)}, and a token that is not limited to other projects.`,
  });
}

function refuse(error: unknown, response: ServerResponse): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const problem = tellable(error);
  const status = problem === null ? 500 : statusOf(problem.code);
  const code = status >= 500 ? 'UNKNOWN' : status === 401 ? 'UNAUTHORIZED' : status === 403 ? 'DENIED' : 'UNSUPPORTED';
  const message = problem === null ? 'The registry failed.' : `${problem.what} ${problem.fix}`;
  response.writeHead(status, { 'content-type': 'application/json', 'docker-distribution-api-version': 'registry/2.0' });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

/** Null for what was not raised on purpose: its message may hold a path. */
function tellable(error: unknown): Problem | null {
  if (error instanceof AccessError || hasCode(error, 'http.pass-invalid')) return problemOf(error);
  return isTransient(error) ? STORE_AWAY : null;
}
