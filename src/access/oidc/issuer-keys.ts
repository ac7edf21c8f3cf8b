import { createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { type Dispatcher, request } from 'undici';
import { z } from 'zod';

import type { Clock } from '../../lib/clock.ts';
import { hasCode } from '../../lib/error.ts';
import { readUpTo } from '../../lib/read-up-to.ts';
import { issuerAway } from '../identity-error.ts';

/** The public keys of one issuer, as they were last had. */
export type Keys = ReturnType<typeof createLocalJWKSet>;

/** Where the keys of issuers come from. */
export interface IssuerKeys {
  /**
   * @param kid of the key that is looked for: one that is not there has the keys fetched anew, for they rotate
   * @throws AccessError `access.issuer-unavailable`
   */
  of(issuer: string, kid: string | undefined): Promise<Keys>;
}

export interface IssuerKeysOptions {
  readonly clock: Clock;
  /** How an address is reached from here. */
  readonly agentFor: (url: URL) => Dispatcher;
  /** For each of the two documents. */
  readonly timeoutMs?: number;
}

/** After so long a key that was withdrawn is trusted no more. */
const FRESH_MS = 10 * 60_000;
/** No issuer is asked more often, however many tokens name keys that it does not have. */
const PAUSE_MS = 10_000;
const NOT_ALLOWED =
  'it is at an address of the network of this server, which TOWPATH_OUTGOING_ALLOW does not name there';
const MAX_BYTES = 256 * 1024;
const MAX_KEYS = 100;

const Discovery = z.looseObject({ issuer: z.string(), jwks_uri: z.string() });
const KeySet = z.looseObject({
  keys: z.array(z.looseObject({ kty: z.string(), kid: z.string().optional() })).max(MAX_KEYS),
});

interface Known {
  readonly keys: Keys;
  readonly kids: ReadonlySet<string | undefined>;
  readonly atMs: number;
}

/**
 * Finds keys as OpenID Connect Discovery 1.0 has it. Only https is spoken, nothing is followed, and what comes back is
 * shown to nobody: an address in a configuration must not become a way to look about in the server's network.
 */
export function createIssuerKeys({ clock, agentFor, timeoutMs = 5_000 }: IssuerKeysOptions): IssuerKeys {
  const known = new Map<string, Known>();
  const asked = new Map<string, { readonly atMs: number; readonly answer: Promise<Known> }>();

  async function fetchKeys(issuer: string): Promise<Known> {
    const ask = (address: string) => fetchJson(issuer, address, agentFor, timeoutMs);
    const found = Discovery.safeParse(await ask(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`));
    if (!found.success) throw issuerAway(issuer, 'its discovery document names no keys');
    if (found.data.issuer !== issuer) throw issuerAway(issuer, 'its discovery document is of another issuer');
    const set = KeySet.safeParse(await ask(found.data.jwks_uri));
    if (!set.success) throw issuerAway(issuer, 'what it gives as its keys are none');
    const kids = new Set(set.data.keys.map(({ kid }) => kid));
    return { keys: createLocalJWKSet(set.data as JSONWebKeySet), kids, atMs: clock.elapsed() };
  }

  /** All who ask at once, or soon after one that failed, get one answer. */
  function askAgain(issuer: string): Promise<Known> {
    const last = asked.get(issuer);
    if (last !== undefined && clock.elapsed() - last.atMs < PAUSE_MS) return last.answer;
    const answer = fetchKeys(issuer).then((keys) => {
      known.set(issuer, keys);
      return keys;
    });
    asked.set(issuer, { atMs: clock.elapsed(), answer });
    return answer;
  }

  return {
    async of(issuer, kid) {
      const had = known.get(issuer);
      const isFresh = had !== undefined && clock.elapsed() - had.atMs < FRESH_MS;
      if (isFresh && (kid === undefined || had.kids.has(kid))) return had.keys;
      return (await askAgain(issuer)).keys;
    },
  };
}

async function fetchJson(
  issuer: string,
  address: string,
  agentFor: IssuerKeysOptions['agentFor'],
  timeoutMs: number,
): Promise<unknown> {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url?.protocol !== 'https:') throw issuerAway(issuer, 'it names an address that is not by https');
  try {
    const response = await request(url, {
      dispatcher: agentFor(url),
      headers: { accept: 'application/json', 'user-agent': 'towpath' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    const bytes = await readUpTo(response.body, MAX_BYTES);
    if (response.statusCode !== 200) throw issuerAway(issuer, `it answered ${response.statusCode}`);
    if (bytes === null) throw issuerAway(issuer, `it answered more than ${MAX_BYTES / 1024} KiB`);
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch (error) {
    if (hasCode(error, 'access.issuer-unavailable')) throw error;
    if (hasCode(error, 'outgoing.refused')) throw issuerAway(issuer, NOT_ALLOWED);
    if (error instanceof SyntaxError) throw issuerAway(issuer, 'it answered something that is not JSON');
    throw issuerAway(issuer, `it does not answer (${reasonOf(error)})`);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
