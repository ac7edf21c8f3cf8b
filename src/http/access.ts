import type { Credential, Principal } from '../access/credential.ts';
import { isRole, permissionsOf } from '../access/permission.ts';
import { AccessError } from '../access/access-error.ts';
import { isOwnOrigin, sessionCookie } from './caller.ts';
import type { Answer } from './contract.ts';
import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function accessRoutes(route: Route, { guard, useCases, clock, secure = false }: Faces): void {
  route('access.me', async ({ principal }) => meOf(principal));
  route('token.list', async () => (await guard.tokens()).map(tokenOf));
  route('token.create', async ({ body: { ttlSeconds, ...wish } }) => {
    const ttlMs = ttlSeconds === undefined ? undefined : ttlSeconds * 1_000;
    const { credential, secret } = await guard.createToken({ ...wish, ttlMs });
    return { token: tokenOf(credential), secret };
  });
  route('identity.exchange', async ({ body: { project, token }, reply }) => {
    const { credential, secret } = await guard.admit(await useCases.identify(project, token), project);
    reply.header('cache-control', 'no-store');
    return { token: tokenOf(credential), secret };
  });
  route('token.revoke', ({ params }) => guard.revokeToken(params.token));
  route('session.invite', async ({ principal, reply }) => {
    const { code, expiresAtMs } = await guard.invite(principal);
    reply.header('cache-control', 'no-store');
    return { code, expiresAt: instant(expiresAtMs) };
  });
  route('session.open', async ({ body, request, reply }) => {
    if (request.headers.origin !== undefined && !isOwnOrigin(request)) throw foreignPage();
    const { principal, secret, expiresAtMs } = await guard.openSession(body.code);
    const maxAgeSeconds = Math.floor((expiresAtMs - clock.now()) / 1_000);
    reply.header('set-cookie', sessionCookie(secret, maxAgeSeconds, secure)).header('cache-control', 'no-store');
    return meOf(principal);
  });
  route('session.close', async ({ principal, reply }) => {
    await guard.closeSession(principal);
    reply.header('set-cookie', sessionCookie('', 0, secure));
  });
}

function meOf({ user, roles, projects }: Principal): Answer<'access.me'> {
  return { user, roles, projects, permissions: [...new Set(roles.filter(isRole).flatMap(permissionsOf))].sort() };
}

function tokenOf({ id, name, user, roles, projects, createdAtMs, expiresAtMs, revokedAtMs, identity }: Credential) {
  const ends = { expiresAt: orNull(expiresAtMs), revokedAt: orNull(revokedAtMs) };
  return { id, name, user, roles, projects, createdAt: instant(createdAtMs), ...ends, identity };
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}

function orNull(ms: number | null): string | null {
  return ms === null ? null : instant(ms);
}

function foreignPage(): AccessError {
  return new AccessError({
    code: 'access.foreign-origin',
    what: 'A page of another origin tried to open a session.',
    fix: 'Run `towpath open` and follow the link it prints.',
  });
}
