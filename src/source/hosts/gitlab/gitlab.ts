import type { SourceHost, WebhookDelivery, WebhookVerdict } from '../../host.ts';
import { deliveryId, isSameText } from '../signed-body.ts';
import { verifyStandardWebhook } from '../standard-webhook.ts';
import { basicCredential } from '../token-user.ts';

/**
 * gitlab.com and GitLab of one's own. Its webhooks carry the secret itself (`X-Gitlab-Token`), or, where a signing token is
 * set, a signature as Standard Webhooks has it; a hook may have both, and either is enough.
 * @see docs.gitlab.com, "Webhooks"; gitlab-org/gitlab!230944
 */
export const gitlab: SourceHost = {
  name: 'gitlab',
  title: 'GitLab',
  serves: (hostname) => hostname === 'gitlab.com' || hostname === 'altssh.gitlab.com',
  claims: (headers) => headers['x-gitlab-event'] !== undefined || headers['x-gitlab-token'] !== undefined,
  verify: (delivery) => {
    const signed = verifyStandardWebhook(delivery);
    return signed.kind === 'genuine' ? signed : verifyToken(delivery, signed);
  },
  // a personal, group or project token goes with any user name; a deploy token with its own, as `user:token`
  gitCredential: (secret) => basicCredential(secret, 'oauth2'),
  pulls: { prefix: 'refs/merge-requests/', path: '/merge_requests', open: ['opened', 'locked'] },
  api: {
    base: ({ hostname, origin }) => `${hostname === 'altssh.gitlab.com' ? 'https://gitlab.com' : origin}/api/v4`,
    repository: ({ path }) => `/projects/${encodeURIComponent(path)}`,
    headers: ({ token }) => ({ authorization: `Bearer ${token}`, accept: 'application/json' }),
  },
};

function verifyToken(delivery: WebhookDelivery, otherwise: WebhookVerdict): WebhookVerdict {
  const { headers, secret } = delivery;
  const token = headers['x-gitlab-token'];
  if (token === undefined || secret === '' || !isSameText(token, secret)) return otherwise;
  const id = headers['idempotency-key'] ?? headers['x-gitlab-event-uuid'];
  return { kind: 'genuine', delivery: deliveryId(delivery, id) };
}
