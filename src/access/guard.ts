import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { AccessError, notAllowed, outOfReach, unknownCaller } from './access-error.ts';
import type { CredentialKeeper } from './credential-keeper.ts';
import {
  hashOfSecret,
  isAlive,
  looksLike,
  newSecret,
  type Credential,
  type CredentialKind,
  type Principal,
} from './credential.ts';
import { operationOf, type OperationName } from './operation.ts';
import type { Identity } from './identity.ts';
import { isRole, mayDo, ROLES, type Permission } from './permission.ts';
import { isWithin } from './reach.ts';

const CODE_TTL_MS = 2 * 60_000;
const SESSION_TTL_MS = 12 * 3_600_000;
/** A job waits that long at most for what becomes of its report. */
const IDENTITY_TTL_MS = 3_600_000;

/** Tells who calls and whether they may. Every face asks the same guard. */
export interface Guard {
  /** @returns null when the secret is unknown, ended, revoked, or of another kind */
  identify(secret: string, kind: 'token' | 'session'): Promise<Principal | null>;
  /**
   * @param project the one that the request names, if it names one
   * @throws AccessError `access.unauthenticated` or `access.forbidden`; returns null only for what is public
   */
  allow(principal: Principal | null, operation: OperationName, project?: string | null): Principal | null;
  /** @throws AccessError as `allow` */
  permit(principal: Principal | null, permission: Permission): Principal;
  createToken(wish: TokenWish): Promise<{ credential: Credential; secret: string }>;
  /** A token for a job of a CI: of the role `ci`, in this project alone, for an hour. */
  admit(identity: Identity, project: string): Promise<{ credential: Credential; secret: string }>;
  tokens(): Promise<Credential[]>;
  /** The sessions that were made from it end too. @throws AccessError `access.token-missing` */
  revokeToken(id: string): Promise<void>;
  /**
   * A code that opens one session as the same user with the same roles.
   * @throws AccessError `access.session-refused` to a session: whoever got hold of one could else have it for ever; and to a CI's job
   */
  invite(principal: Principal): Promise<{ code: string; expiresAtMs: number }>;
  /** Spends the code. @throws AccessError `access.code-invalid` */
  openSession(code: string): Promise<{ principal: Principal; secret: string; expiresAtMs: number }>;
  closeSession(principal: Principal): Promise<void>;
}

export interface TokenWish {
  readonly name: string;
  readonly user: string;
  readonly roles: readonly string[];
  /** Names of projects that it shall be limited to. Without them it reaches all. */
  readonly projects?: readonly string[] | undefined;
  readonly ttlMs?: number | undefined;
}

export interface GuardParts {
  readonly keeper: CredentialKeeper;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

export function createGuard({ keeper, clock, random }: GuardParts): Guard {
  async function issue(
    kind: CredentialKind,
    wish: TokenWish & { readonly identity?: Identity },
    token: Credential | null = null,
  ): Promise<{ credential: Credential; secret: string; endsAtMs: number }> {
    const now = clock.now();
    const endsAtMs = Math.min(now + (wish.ttlMs ?? Infinity), token?.expiresAtMs ?? Infinity);
    const secret = newSecret(kind, random);
    const credential: Credential = {
      id: newId('tok', now),
      kind,
      tokenId: token?.id ?? null,
      name: wish.name,
      user: wish.user,
      roles: [...wish.roles],
      projects: wish.projects === undefined ? (token?.projects ?? null) : [...wish.projects],
      createdAtMs: now,
      expiresAtMs: endsAtMs === Infinity ? null : endsAtMs,
      revokedAtMs: null,
      identity: wish.identity ?? null,
    };
    await keeper.add(credential, hashOfSecret(secret));
    return { credential, secret, endsAtMs };
  }

  /** A session and a code live no longer than the token that they were made from, which is asked for each time. */
  async function alive(secret: string, kind: CredentialKind): Promise<Held | null> {
    if (!looksLike(kind, secret)) return null;
    const credential = await keeper.byHash(hashOfSecret(secret));
    if (credential?.kind !== kind || !isAlive(credential, clock.now())) return null;
    if (kind === 'token') return { credential, token: credential };
    const token = credential.tokenId === null ? null : await keeper.byId(credential.tokenId);
    return token?.kind === 'token' && isAlive(token, clock.now()) ? { credential, token } : null;
  }

  function permit(principal: Principal | null, permission: Permission): Principal {
    if (principal === null) throw unknownCaller();
    if (!mayDo(principal.roles, permission)) throw notAllowed(principal.user, permission);
    return principal;
  }

  return {
    permit,
    identify: async (secret, kind) => {
      const held = await alive(secret, kind);
      return held === null ? null : principalOf(held);
    },
    allow: (principal, operation, project = null) => {
      const { needs } = operationOf(operation);
      if (needs === 'public') return principal;
      const known = permit(principal, needs);
      if (!isWithin(known, operation, project)) throw outOfReach(known);
      return known;
    },
    createToken: async (wish) => issue('token', checkedWish(wish)),
    admit: async (identity, project) => {
      await keeper.forget(clock.now());
      const user = userOfIdentity(identity);
      const wish = { name: identity.run ?? identity.subject, user, roles: ['ci'], projects: [project], identity };
      return issue('token', { ...wish, ttlMs: IDENTITY_TTL_MS });
    },
    tokens: () => keeper.tokens(),
    revokeToken: async (id) => {
      const token = await keeper.byId(id);
      if (token?.kind !== 'token' || !(await keeper.revoke(id, clock.now()))) throw noSuchToken(id);
    },
    invite: async ({ user, roles, kind, tokenId, identity }) => {
      if (kind !== 'token' || identity !== null) throw noInvitation();
      await keeper.forget(clock.now());
      const token = await keeper.byId(tokenId);
      if (token === null) throw unknownCaller();
      const code = await issue('code', { name: 'page', user, roles, ttlMs: CODE_TTL_MS }, token);
      return { code: code.secret, expiresAtMs: code.endsAtMs };
    },
    openSession: async (code) => {
      const held = await alive(code, 'code');
      // The revocation is the lock: of two callers with one code only one gets a session.
      if (held === null || !(await keeper.revoke(held.credential.id, clock.now()))) throw deadCode();
      const { token } = held;
      const { user, roles } = held.credential;
      const { credential, secret, endsAtMs } = await issue(
        'session',
        { name: 'page', user, roles, ttlMs: SESSION_TTL_MS },
        token,
      );
      return { principal: principalOf({ credential, token }), secret, expiresAtMs: endsAtMs };
    },
    closeSession: async ({ credentialId, kind }) => {
      if (kind === 'session') await keeper.revoke(credentialId, clock.now());
    },
  };
}

/** What a secret stands for, and the token behind it. */
interface Held {
  readonly credential: Credential;
  readonly token: Credential;
}

function principalOf({ credential: { id, user, roles, kind, expiresAtMs }, token }: Held): Principal {
  const { projects, identity } = token; // a session reaches no more than its token
  return { credentialId: id, user, roles, projects, kind, tokenId: token.id, endsAtMs: expiresAtMs, identity };
}

/** No user of `towpath.yaml` is called so by accident. */
function userOfIdentity({ name }: Identity): string {
  return `oidc:${name}`;
}

function checkedWish(wish: TokenWish): TokenWish {
  const strange = wish.roles.find((role) => !isRole(role));
  if (strange !== undefined || wish.roles.length === 0)
    throw new AccessError({
      code: 'access.role-invalid',
      what: strange === undefined ? 'A token needs at least one role.' : `There is no role "${strange}".`,
      fix: `Choose among ${Object.keys(ROLES).join(', ')}.`,
    });
  if (wish.projects?.length === 0)
    throw new AccessError({
      code: 'access.project-invalid',
      what: 'A token that is limited to projects needs at least one.',
      fix: 'Name the projects, or leave the limit out.',
    });
  return wish;
}

function noSuchToken(id: string): AccessError {
  return new AccessError({
    code: 'access.token-missing',
    what: `There is no living token ${id}.`,
    fix: 'List them with `towpath token list`.',
  });
}

function noInvitation(): AccessError {
  return new AccessError({
    code: 'access.session-refused',
    what: 'Neither a session of the page nor the job of a CI opens another session.',
    fix: 'Run `towpath open` with your token.',
  });
}

function deadCode(): AccessError {
  return new AccessError({
    code: 'access.code-invalid',
    what: 'This link was used before, or it is older than two minutes, or its token has ended.',
    fix: 'Run `towpath open` for a new one.',
  });
}
