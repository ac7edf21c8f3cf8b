import type { GitCredential } from '../git/credential.ts';
import type { Clock } from '../lib/clock.ts';
import { hostOf } from './hosts.ts';
import { createHostClient, type HostAnswer, type HostRequest } from './hosts/api-client.ts';
import { createAppTokens } from './hosts/github/app-token.ts';
import { HostError } from './hosts/host-error.ts';
import { type CredentialDeps, credentialOf, type HostedRepository, hostSecretOf } from './repository-credential.ts';
import { placeOf } from './repository-place.ts';

/** A repository as its host's API knows it. */
export interface HostApi {
  /** Of `SourceHost`: which dialect is spoken. */
  readonly host: string;
  /**
   * @param path below the repository: `/statuses/<sha>`, `?per_page=1`, or nothing
   * @throws HostError
   */
  call(request: Pick<HostRequest, 'method' | 'body' | 'signal'> & { readonly path: string }): Promise<HostAnswer>;
}

/** How the hosts of repositories are reached: tokens are asked for at each use, and limits are kept for all. */
export interface HostAccess {
  gitCredential(repository: HostedRepository, reference: string): Promise<GitCredential>;
  /**
   * @param reference of the credential; it must lead to a token, or be a GitHub App
   * @returns null for a server of whose API nothing is known
   */
  api(repository: HostedRepository, reference: string | null): HostApi | null;
}

export interface HostAccessDeps {
  readonly clock: Clock;
  /** Follows a reference to a secret, at the moment of use. */
  readonly secretOf: (reference: string) => Promise<string>;
  readonly wait: (ms: number) => Promise<void>;
}

export function createHostAccess({ clock, secretOf, wait }: HostAccessDeps): HostAccess {
  const client = createHostClient(clock);
  const apps = createAppTokens({ clock, client, secretOf, wait });
  const deps: CredentialDeps = { secretOf, appToken: apps.token };
  return {
    gitCredential: (repository, reference) => credentialOf(repository, reference, deps),
    api: (repository, reference) => {
      const host = hostOf(repository.url, repository.host);
      const place = placeOf(repository.url);
      const { api } = host;
      if (api === null || place === null) return null;
      return {
        host: host.name,
        call: async ({ path, ...rest }) => {
          if (reference === null || isKey(repository, reference)) throw withoutToken(host.title);
          const secret = await hostSecretOf(host, place, reference, deps);
          const url = `${api.base(place)}${api.repository(place)}${path}`;
          return client.send({ ...rest, url, headers: api.headers(secret) }, host.title, reference);
        },
      };
    },
  };
}

/** Over ssh the credential is a private key, which no API takes. */
function isKey({ url }: HostedRepository, reference: string): boolean {
  return !/^https?:/.test(url) && !reference.startsWith('github-app:');
}

function withoutToken(title: string): HostError {
  return new HostError({
    code: 'host.no-token',
    what: `There is no token with which ${title} could be asked about this repository.`,
    fix: 'Add the repository by its https URL with a token: `towpath project set --credential env:NAME`.',
  });
}
