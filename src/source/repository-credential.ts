import type { GitCredential } from '../git/credential.ts';
import { parseReference } from '../secret/secret.ts';
import { SourceError } from './source-error.ts';

/** What git servers take as the user name beside a token that has none of its own. */
const TOKEN_USER = 'x-access-token';

/**
 * What the credential of a repository gives to git. Over http(s) the secret is `user:password`, or a token alone. Over ssh
 * the reference itself is the way to the private key, which ssh reads: the key never passes through us.
 * @param url of the repository, as it was checked when it was added
 * @throws SourceError `source.credential-form`
 */
export async function credentialOf(
  url: string,
  reference: string,
  secretOf: (reference: string) => Promise<string>,
): Promise<GitCredential> {
  if (!/^(?:https?|file):/.test(url)) return { kind: 'ssh', keyFile: keyFileOf(reference) };
  const secret = await secretOf(reference);
  const colon = secret.indexOf(':');
  return colon === -1
    ? { kind: 'basic', username: TOKEN_USER, password: secret }
    : { kind: 'basic', username: secret.slice(0, colon), password: secret.slice(colon + 1) };
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
