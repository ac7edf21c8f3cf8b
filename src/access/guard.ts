import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { AccessError, notAllowed, unknownCaller } from './access-error.ts';
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
import { isRole, mayDo, ROLES, type Permission } from './permission.ts';

const CODE_TTL_MS = 2 * 60_000;
const SESSION_TTL_MS = 12 * 3_600_000;

/** Tells who calls and whether they may. Every face asks the same guard. */
export interface Guard {
  /** @returns null when the secret is unknown, ended, revoked, or of another kind */
  identify(secret: string, kind: 'token' | 'session'): Promise<Principal | null>;
  /** @throws AccessError `access.unauthenticated` or `access.forbidden`; returns null only for what is public */
  allow(principal: Principal | null, operation: OperationName): Principal | null;
  /** @throws AccessError as `allow` */
  permit(principal: Principal | null, permission: Permission): Principal;
  createToken(wish: TokenWish): Promise<{ credential: Credential; secret: string }>;
  tokens(): Promise<Credential[]>;
  /** Ends the sessions of its user too, for it may have opened them. @throws AccessError `access.token-missing` */
  revokeToken(id: string): Promise<void>;
  /** A code that opens one session as the same user with the same roles. */
  invite(principal: Principal): Promise<{ code: string; expiresAtMs: number }>;
  /** Spends the code. @throws AccessError `access.code-invalid` */
  openSession(code: string): Promise<{ principal: Principal; secret: string; expiresAtMs: number }>;
  closeSession(principal: Principal): Promise<void>;
}

export interface TokenWish {
  readonly name: string;
  readonly user: string;
  readonly roles: readonly string[];
  readonly ttlMs?: number | undefined;
}

export interface GuardParts {
  readonly keeper: CredentialKeeper;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

export function createGuard({ keeper, clock, random }: GuardParts): Guard {
  async function issue(kind: CredentialKind, wish: TokenWish): Promise<{ credential: Credential; secret: string }> {
    const now = clock.now();
    const secret = newSecret(kind, random);
    const credential: Credential = {
      id: newId('tok', now),
      kind,
      name: wish.name,
      user: wish.user,
      roles: [...wish.roles],
      createdAtMs: now,
      expiresAtMs: wish.ttlMs === undefined ? null : now + wish.ttlMs,
      revokedAtMs: null,
    };
    await keeper.add(credential, hashOfSecret(secret));
    return { credential, secret };
  }

  async function alive(secret: string, kind: CredentialKind): Promise<Credential | null> {
    if (!looksLike(kind, secret)) return null;
    const credential = await keeper.byHash(hashOfSecret(secret));
    return credential !== null && credential.kind === kind && isAlive(credential, clock.now()) ? credential : null;
  }

  function permit(principal: Principal | null, permission: Permission): Principal {
    if (principal === null) throw unknownCaller();
    if (!mayDo(principal.roles, permission)) throw notAllowed(principal.user, permission);
    return principal;
  }

  return {
    permit,
    identify: async (secret, kind) => {
      const credential = await alive(secret, kind);
      return credential === null ? null : principalOf(credential);
    },
    allow: (principal, operation) => {
      const { needs } = operationOf(operation);
      return needs === 'public' ? principal : permit(principal, needs);
    },
    createToken: async (wish) => issue('token', checkedWish(wish)),
    tokens: () => keeper.tokens(),
    revokeToken: async (id) => {
      const token = (await keeper.tokens()).find((candidate) => candidate.id === id);
      if (token === undefined || !(await keeper.revoke(id, clock.now()))) throw noSuchToken(id);
      await keeper.endSessions(token.user, clock.now());
    },
    invite: async ({ user, roles }) => {
      await keeper.forget(clock.now());
      const { secret } = await issue('code', { name: 'page', user, roles, ttlMs: CODE_TTL_MS });
      return { code: secret, expiresAtMs: clock.now() + CODE_TTL_MS };
    },
    openSession: async (code) => {
      const credential = await alive(code, 'code');
      // The revocation is the lock: of two callers with one code only one gets a session.
      if (credential === null || !(await keeper.revoke(credential.id, clock.now()))) throw deadCode();
      const { user, roles } = credential;
      const session = await issue('session', { name: 'page', user, roles, ttlMs: SESSION_TTL_MS });
      return {
        principal: principalOf(session.credential),
        secret: session.secret,
        expiresAtMs: clock.now() + SESSION_TTL_MS,
      };
    },
    closeSession: async ({ credentialId, kind }) => {
      if (kind === 'session') await keeper.revoke(credentialId, clock.now());
    },
  };
}

function principalOf({ id, user, roles, kind }: Credential): Principal {
  return { credentialId: id, user, roles, kind };
}

function checkedWish(wish: TokenWish): TokenWish {
  const strange = wish.roles.find((role) => !isRole(role));
  if (strange !== undefined || wish.roles.length === 0)
    throw new AccessError({
      code: 'access.role-invalid',
      what: strange === undefined ? 'A token needs at least one role.' : `There is no role "${strange}".`,
      fix: `Choose among ${Object.keys(ROLES).join(', ')}.`,
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

function deadCode(): AccessError {
  return new AccessError({
    code: 'access.code-invalid',
    what: 'This link was used before, or it is older than two minutes.',
    fix: 'Run `towpath open` for a new one.',
  });
}
