import type { IncomingMessage, ServerResponse } from 'node:http';

import { AccessError } from '../access/access-error.ts';
import type { Guard } from '../access/guard.ts';
import { registryNeeds } from '../access/operation.ts';
import { problemOf } from '../lib/error.ts';
import { bearerOf } from './caller.ts';
import { statusOf } from './problem.ts';

/** The embedded registry as this folder needs it: it answers everything under `/v2/` by itself. */
export interface RegistryHandler {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

export interface RegistryDoorParts {
  readonly registry: RegistryHandler;
  readonly guard: Guard;
  /** Lets this machine's own engines pull without a token. Writing always needs one. */
  readonly openToLoopback: boolean;
}

export function isForRegistry(url: string | undefined): boolean {
  return url === '/v2' || (url ?? '').startsWith('/v2/');
}

/**
 * Container clients know neither our error form nor our header, so the door has its own manners: Basic (any user name,
 * the token as password) or Bearer, and the distribution API's error body.
 */
export function createRegistryDoor(parts: RegistryDoorParts) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await admit(request, parts);
      await parts.registry.handle(request, response);
    } catch (error) {
      refuse(error, response);
    }
  };
}

async function admit(request: IncomingMessage, { guard, openToLoopback }: RegistryDoorParts): Promise<void> {
  const needs = registryNeeds(request.method ?? 'GET');
  const { authorization } = request.headers;
  if (authorization === undefined && needs === 'registry:pull' && openToLoopback && isLocal(request)) return;
  const secret = bearerOf(authorization) ?? basicPasswordOf(authorization);
  guard.permit(secret === null ? null : await guard.identify(secret, 'token'), needs);
}

/** Both ends: the peer is this machine, and the name it asked for is too (a page that rebinds its name asks for its own). */
function isLocal(request: IncomingMessage): boolean {
  const { remoteAddress = '' } = request.socket;
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  const isPeerLocal = /^(127\.|::1$|::ffff:127\.)/.test(remoteAddress);
  return isPeerLocal && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host);
}

function basicPasswordOf(header: string | undefined): string | null {
  const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon === -1 ? null : pair.slice(colon + 1);
}

function refuse(error: unknown, response: ServerResponse): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const problem = error instanceof AccessError ? problemOf(error) : null;
  const status = problem === null ? 500 : statusOf(problem.code);
  const code = status === 401 ? 'UNAUTHORIZED' : status === 403 ? 'DENIED' : 'UNKNOWN';
  const message = problem === null ? 'The registry failed.' : `${problem.what} ${problem.fix}`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'docker-distribution-api-version': 'registry/2.0',
    ...(status === 401 ? { 'www-authenticate': 'Basic realm="towpath"' } : {}),
  });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}
