import type { GitCredential } from '../git/credential.ts';
import { parseReference } from '../secret/secret.ts';
import type { HostSecret, SourceHost } from './host.ts';
import { hostOf } from './hosts.ts';
import type { AppInstallation } from './hosts/github/app-token.ts';
import { placeOf, type RepositoryPlace } from './repository-place.ts';
import { SourceError } from './source-error.ts';

/** Where a repository is and what kind of server somebody said that is. */
export interface HostedRepository {
  readonly url: string;
  readonly host: string | null;
}

export interface CredentialDeps {
  /** Follows a reference to a secret, at the moment of use. */
  readonly secretOf: (reference: string) => Promise<string>;
  /** A token of a GitHub App's installation. */
  readonly appToken: (apiBase: string, installation: AppInstallation) => Promise<string>;
}

/**
 * What the credential of a repository gives to git. Over http(s) the secret is `user:password`, or a token alone, for which
 * the host has a user name of its own. Over ssh the reference itself is the way to the private key, which ssh reads: the key
 * never passes through us.
 * @throws SourceError `source.credential-form`
 */
export async function credentialOf(
  repository: HostedRepository,
  reference: string,
  deps: CredentialDeps,
): Promise<GitCredential> {
  if (!/^(?:https?|file):/.test(repository.url)) return { kind: 'ssh', keyFile: keyFileOf(reference) };
  const host = hostOf(repository.url, repository.host);
  return host.gitCredential(await hostSecretOf(host, placeOf(repository.url), reference, deps));
}

/** @throws SourceError `source.credential-form` */
export async function hostSecretOf(
  host: SourceHost,
  place: RepositoryPlace | null,
  reference: string,
  { secretOf, appToken }: CredentialDeps,
): Promise<HostSecret> {
  if (reference.startsWith('github-app:')) {
    const installation = appInstallationOf(reference);
    if (host.name !== 'github' || host.api === null || place === null) throw notOnGithub();
    return { user: null, token: await appToken(host.api.base(place), installation) };
  }
  const secret = await secretOf(reference);
  const colon = secret.indexOf(':');
  return colon === -1
    ? { user: null, token: secret }
    : { user: secret.slice(0, colon), token: secret.slice(colon + 1) };
}

/** `github-app:<app id>:<installation id>:<reference to the key>` */
function appInstallationOf(reference: string): AppInstallation {
  const [, appId, installationId, key] =
    /^github-app:([A-Za-z0-9._-]{1,100}):(\d{1,20}):([a-z][a-z0-9-]*:.+)$/.exec(reference) ?? [];
  if (appId !== undefined && installationId !== undefined && key !== undefined && !key.startsWith('github-app:'))
    return { appId, installationId, key };
  throw new SourceError({
    code: 'source.credential-form',
    what: 'The credential of a GitHub App is not complete.',
    fix: 'Give `github-app:APP:INSTALLATION:file:/path/of/the/key.pem`, with the ids that the pages of the App show.',
  });
}

function keyFileOf(reference: string): string {
  const { scheme, name } = parseReference(reference);
  if (scheme === 'file' && name.startsWith('/')) return name;
  throw new SourceError({
    code: 'source.credential-form',
    what: 'The credential of a repository over ssh is not the file of a private key.',
    fix: 'Give it as `file:/path/of/the/key`, readable by the user of the server alone; a key with a passphrase cannot be used.',
  });
}

function notOnGithub(): SourceError {
  return new SourceError({
    code: 'source.credential-form',
    what: 'The credential is a GitHub App, and the repository is not on GitHub.',
    fix: 'For GitHub Enterprise Server say so: `towpath project set --host github`. Elsewhere give a token.',
  });
}
