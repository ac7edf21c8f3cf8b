import { createPrivateKey, type KeyObject } from 'node:crypto';

import { SignJWT } from 'jose';
import { z } from 'zod';

import type { Clock } from '../../../lib/clock.ts';
import { hasCode } from '../../../lib/error.ts';
import type { HostClient } from '../api-client.ts';
import { HostError } from '../host-error.ts';

/** A GitHub App installed on an account: who it is, and where its private key is. */
export interface AppInstallation {
  readonly appId: string;
  readonly installationId: string;
  /** A reference to the PEM file that GitHub gives. */
  readonly key: string;
}

export interface AppTokens {
  /** A token of the installation: minted when the last one ends within five minutes, and tried before it is given. */
  readonly token: (apiBase: string, installation: AppInstallation) => Promise<string>;
}

export interface AppTokenDeps {
  readonly clock: Clock;
  readonly client: HostClient;
  readonly secretOf: (reference: string) => Promise<string>;
  readonly wait: (ms: number) => Promise<void>;
}

const SPARE_MS = 5 * 60_000;
/** GitHub gives each for an hour: where the clock of this machine is behind, that is what ends it. */
const LIFE_MS = 60 * 60_000;
/** Not every machine of GitHub knows a new token at once: some say 401 or 404 for a moment. */
const TRIAL_PAUSES_MS = [250, 500, 1000, 2000, 4000];
const Minted = z.object({ token: z.string().min(1), expires_at: z.iso.datetime({ offset: true }) });

/** @see docs.github.com, "Generating an installation access token for a GitHub App" */
export function createAppTokens(deps: AppTokenDeps): AppTokens {
  /** While one is being minted its end is not known: whoever asks meanwhile gets the same. */
  const kept = new Map<string, { readonly token: Promise<string>; readonly endsBy: number; endsAt: number }>();
  return {
    token: (apiBase, installation) => {
      const id = JSON.stringify([apiBase, installation]);
      const known = kept.get(id);
      const elapsed = deps.clock.elapsed();
      if (known !== undefined && Math.min(known.endsAt - deps.clock.now(), known.endsBy - elapsed) > SPARE_MS)
        return known.token;
      const minting = mint(deps, apiBase, installation);
      const token = minting.then((made) => {
        entry.endsAt = made.endsAt;
        return made.token;
      });
      const entry = { token, endsBy: elapsed + LIFE_MS, endsAt: Number.POSITIVE_INFINITY };
      kept.set(id, entry);
      token.catch(() => kept.delete(id));
      return token;
    },
  };
}

async function mint(
  { clock, client, secretOf, wait }: AppTokenDeps,
  apiBase: string,
  { appId, installationId, key }: AppInstallation,
): Promise<{ token: string; endsAt: number }> {
  const headersFor = (token: string) => ({
    authorization: `Bearer ${token}`,
    accept: 'application/vnd.github+json',
    'x-github-api-version': '2022-11-28',
  });
  const jwt = await appJwt(appId, keyOf(await secretOf(key)), clock.now());
  const { body } = await client.send(
    {
      method: 'POST',
      url: `${apiBase}/app/installations/${encodeURIComponent(installationId)}/access_tokens`,
      headers: headersFor(jwt),
    },
    'GitHub',
    `app ${appId}`,
  );
  const minted = Minted.safeParse(body);
  if (!minted.success) throw noToken();
  const { token, expires_at: endsAt } = minted.data;
  const trial = {
    method: 'GET',
    url: `${apiBase}/installation/repositories?per_page=1`,
    headers: headersFor(token),
  } as const;
  for (const pauseMs of [...TRIAL_PAUSES_MS, null]) {
    try {
      await client.send(trial, 'GitHub', `installation ${installationId}`);
      break;
    } catch (error) {
      if (pauseMs === null || !hasCode(error, 'host.denied', 'host.not-found')) throw error;
      await wait(pauseMs);
    }
  }
  return { token, endsAt: Date.parse(endsAt) };
}

/** Valid for nine minutes of the ten that GitHub allows; it begins a minute ago, since clocks differ. */
async function appJwt(appId: string, key: KeyObject, now: number): Promise<string> {
  const seconds = Math.floor(now / 1000);
  return new SignJWT()
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
    .setIssuer(appId)
    .setIssuedAt(seconds - 60)
    .setExpirationTime(seconds + 540)
    .sign(key);
}

function keyOf(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'rsa') return key;
  } catch {
    // the reason could hold a piece of the key
  }
  throw new HostError({
    code: 'host.app-key',
    what: 'The private key of the GitHub App is not an RSA key in PEM form.',
    fix: 'Refer to the very .pem file that GitHub gave when the key was made.',
  });
}

function noToken(): HostError {
  return new HostError({
    code: 'host.malformed',
    what: 'GitHub answered without a token where one was to be made for the installation of the App.',
    fix: 'Check the ids of the App and of its installation.',
  });
}
