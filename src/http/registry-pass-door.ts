import type { IncomingMessage, ServerResponse } from 'node:http';

import { unknownClient } from '../access/access-error.ts';
import type { Guard } from '../access/guard.ts';
import { PASS_SERVICE, type IssuedPass, type Passes } from '../access/registry-pass.ts';
import { CATALOG, formatScope, parseScopes, type RegistryAction, type Scope } from '../access/repository-scope.ts';
import { basicPasswordOf, bearerOf } from './caller.ts';
import { HttpError } from './http-error.ts';

const PATH = '/v2/token';

/** A form with a password and some scopes is small. */
const FORM_LIMIT_BYTES = 64 * 1024;

export interface PassDoorParts {
  readonly guard: Guard;
  readonly passes: Passes;
  /** This asker may pull without a token. */
  readonly isOpen: boolean;
}

export function isForPass(url: string | undefined): boolean {
  return url === PATH || (url ?? '').startsWith(`${PATH}?`);
}

/**
 * What a client is told that came without enough: where passes are made, and for what to ask.
 * @param hadPass its pass does not suffice, so it should ask for another one
 */
export function challengeOf(
  request: IncomingMessage,
  repository: string | null,
  action: RegistryAction,
  hadPass: boolean,
): string {
  const actions: RegistryAction[] = action === 'push' ? ['pull', 'push'] : [action];
  const scope = repository === null ? '' : `,scope="${quotable(formatScope({ repository, actions }))}"`;
  const error = hadPass ? ',error="insufficient_scope"' : '';
  return `Bearer realm="${originOf(request)}${PATH}",service="${PASS_SERVICE}"${scope}${error}`;
}

/**
 * Makes passes, as the token service of the distribution project does: GET with Basic, or POST with a form of OAuth 2
 * (`password`, or `refresh_token`, which is the Towpath token itself: it can be revoked like any other).
 * @throws AccessError `access.unauthenticated`; HttpError `http.pass-invalid`
 */
export async function answerPassRequest(
  request: IncomingMessage,
  response: ServerResponse,
  { guard, passes, isOpen }: PassDoorParts,
): Promise<void> {
  const { secret, scopes, offline } = request.method === 'POST' ? await readForm(request) : readQuery(request);
  const principal = secret === null ? null : await guard.identify(secret, 'token');
  if (principal === null && (secret !== null || !isOpen)) {
    response.setHeader('www-authenticate', 'Basic realm="towpath"');
    throw unknownClient();
  }
  const issued = await (principal === null ? passes.issueAnonymous(scopes) : passes.issue(principal, scopes));
  const refresh = offline && secret !== null ? { refresh_token: secret } : {};
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify({ ...replyOf(issued), ...refresh }));
}

interface PassRequest {
  readonly secret: string | null;
  readonly scopes: readonly Scope[];
  /** It wants something that lasts, to get further passes with. */
  readonly offline: boolean;
}

function readQuery({ method, url = '', headers }: IncomingMessage): PassRequest {
  if (method !== 'GET') throw passRefused(`${method ?? 'This method'} is not how passes are asked for.`);
  const query = new URLSearchParams(url.split('?')[1]);
  const given = headers.authorization;
  const secret = given === undefined ? null : (bearerOf(given) ?? basicPasswordOf(given) ?? '');
  return { secret, scopes: parseScopes(query.getAll('scope')), offline: false };
}

async function readForm(request: IncomingMessage): Promise<PassRequest> {
  const form = new URLSearchParams(await textOf(request));
  const field = { password: 'password', refresh_token: 'refresh_token' }[form.get('grant_type') ?? ''];
  if (field === undefined) throw passRefused('The grant_type is neither password nor refresh_token.');
  const offline = field === 'refresh_token' || form.get('access_type') === 'offline';
  return { secret: form.get(field) ?? '', scopes: parseScopes(form.getAll('scope')), offline };
}

function replyOf({ pass, granted, issuedAtMs, ttlSeconds }: IssuedPass) {
  return {
    token: pass,
    access_token: pass,
    scope: granted.map(formatScope).join(' '),
    expires_in: ttlSeconds,
    issued_at: new Date(issuedAtMs).toISOString(),
  };
}

/** The address by which the client reached us; a proxy that ends TLS says so in its header. */
function originOf({ headers, socket }: IncomingMessage): string {
  const isHost = /^[a-zA-Z0-9.-]+(:\d{1,5})?$|^\[[0-9a-fA-F:]+\](:\d{1,5})?$/.test(headers.host ?? '');
  const host = isHost ? headers.host : `127.0.0.1:${socket.localPort}`;
  return `${headers['x-forwarded-proto'] === 'https' ? 'https' : 'http'}://${host}`;
}

/** Names that are none do not reach the header: whatever stands in a path may be asked for. */
function quotable(scope: string): string {
  return /^[a-z0-9:/._,*-]+$/.test(scope) ? scope : formatScope({ repository: CATALOG, actions: ['pull'] });
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > FORM_LIMIT_BYTES) throw passRefused('The form is larger than any that asks for a pass.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function passRefused(what: string): HttpError {
  return new HttpError({
    code: 'http.pass-invalid',
    what,
    fix: 'Ask as the token service of the distribution project is asked: GET with Basic, or POST with a form.',
  });
}
