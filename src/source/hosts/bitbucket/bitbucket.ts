import type { SourceHost } from '../../host.ts';
import { basicCredential, basicHeader } from '../token-user.ts';
import { claimsBitbucket, verifyBitbucket } from './webhook.ts';

/**
 * Bitbucket Cloud. An access token (of a repository, project or workspace) stands alone; an API token of a person is given
 * with the address of its owner (`ana@example.com:ATATT...`), which the API asks for and git must not see.
 * @see support.atlassian.com/bitbucket-cloud, "Using API tokens", "Using Repository Access Tokens"
 */
export const bitbucket: SourceHost = {
  name: 'bitbucket',
  title: 'Bitbucket Cloud',
  serves: (hostname) => hostname === 'bitbucket.org' || hostname === 'altssh.bitbucket.org',
  // the signature is the same as the Data Center's; what differs is who counts requests
  claims: (headers) => claimsBitbucket(headers) && headers['x-request-uuid'] !== undefined,
  verify: (delivery) => verifyBitbucket(delivery, 'x-request-uuid'),
  gitCredential: ({ user, token }) => {
    const isApiToken = token.startsWith('ATATT') || user?.includes('@') === true;
    const tokenUser = isApiToken ? 'x-bitbucket-api-token-auth' : 'x-token-auth';
    return basicCredential({ user: isApiToken ? null : user, token }, tokenUser);
  },
  // the commits of a fork are not in the repository that a pull request goes to
  pulls: null,
  api: {
    base: ({ hostname, origin }) => (bitbucket.serves(hostname) ? 'https://api.bitbucket.org/2.0' : `${origin}/2.0`),
    repository: ({ path }) => `/repositories/${path.split('/').map(encodeURIComponent).join('/')}`,
    headers: ({ user, token }) => ({
      authorization: user === null ? `Bearer ${token}` : basicHeader(user, token),
      accept: 'application/json',
    }),
  },
};
