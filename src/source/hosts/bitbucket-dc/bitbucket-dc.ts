import type { SourceHost } from '../../host.ts';
import type { RepositoryPlace } from '../../repository-place.ts';
import { claimsBitbucket, verifyBitbucket } from '../bitbucket/webhook.ts';
import { basicHeader } from '../token-user.ts';

/**
 * Bitbucket Data Center. An HTTP access token is shown as a bearer, also by git, so that it works where passwords are off.
 * @see confluence.atlassian.com/bitbucketserver, "Event payload", "HTTP access tokens"
 */
export const bitbucketDc: SourceHost = {
  name: 'bitbucket-dc',
  title: 'Bitbucket Data Center',
  serves: () => false,
  claims: claimsBitbucket,
  verify: (delivery) => verifyBitbucket(delivery, 'x-request-id'),
  isUnsignedPing: (headers) =>
    headers['x-event-key'] === 'diagnostics:ping' && headers['x-hub-signature'] === undefined,
  gitCredential: ({ user, token }) =>
    user === null ? { kind: 'bearer', token } : { kind: 'basic', username: user, password: token },
  pulls: { prefix: 'refs/pull-requests/', path: '/pull-requests', open: ['OPEN'] },
  api: {
    base: (place) => `${place.origin}${partsOf(place).context}/rest/api/latest`,
    repository: (place) => {
      const { project, slug } = partsOf(place);
      return `/projects/${encodeURIComponent(project)}/repos/${encodeURIComponent(slug)}`;
    },
    headers: ({ user, token }) => ({
      authorization: user === null ? `Bearer ${token}` : basicHeader(user, token),
      accept: 'application/json',
    }),
  },
};

/** `/scm/PROJECT/repository` over http, below the path where the whole server stands, if it has one; no `scm` over ssh. */
function partsOf({ path }: RepositoryPlace): { context: string; project: string; slug: string } {
  const parts = path.split('/');
  const [project = '', slug = ''] = parts.slice(-2);
  const before = parts.slice(0, -2);
  if (before.at(-1) === 'scm') before.pop();
  return { context: before.map((part) => `/${part}`).join(''), project, slug };
}
