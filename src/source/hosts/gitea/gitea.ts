import type { SourceHost } from '../../host.ts';
import { deliveryId, isSignedBody } from '../signed-body.ts';
import { basicCredential, basicHeader } from '../token-user.ts';

const CLAIMED = ['x-gitea-event', 'x-gitea-signature', 'x-forgejo-event', 'x-forgejo-signature'];

/**
 * Gitea and Forgejo (Codeberg). Both send the headers of Gogs and GitHub along, and Forgejo those of Gitea, so they are asked
 * before GitHub; the signature is the same in all.
 * @see docs.gitea.com, "Webhooks"; forgejo.org/docs, "Webhooks"
 */
export const gitea: SourceHost = {
  name: 'gitea',
  title: 'Gitea or Forgejo',
  serves: (hostname) => hostname === 'codeberg.org' || hostname === 'gitea.com',
  claims: (headers) => CLAIMED.some((name) => headers[name] !== undefined),
  verify: (delivery) => {
    const { headers } = delivery;
    const signature = headers['x-forgejo-signature'] ?? headers['x-gitea-signature'];
    if (!isSignedBody(delivery, signature)) return { kind: 'unsigned' };
    const id = headers['x-forgejo-delivery'] ?? headers['x-gitea-delivery'];
    return { kind: 'genuine', delivery: deliveryId(delivery, id, signature) };
  },
  gitCredential: (secret) => basicCredential(secret, 'x-access-token'),
  pulls: { prefix: 'refs/pull/', path: '/pulls', open: ['open'] },
  api: {
    base: ({ origin }) => `${origin}/api/v1`,
    repository: ({ path }) => `/repos/${path.split('/').map(encodeURIComponent).join('/')}`,
    headers: ({ user, token }) => ({
      authorization: user === null ? `token ${token}` : basicHeader(user, token),
      accept: 'application/json',
    }),
  },
};
