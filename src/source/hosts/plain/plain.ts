import type { SourceHost } from '../../host.ts';
import { verifyStandardWebhook } from '../standard-webhook.ts';
import { basicCredential } from '../token-user.ts';

/** Any git server or script: of its API nothing is known, and its webhooks are signed as Standard Webhooks has it. */
export const plain: SourceHost = {
  name: 'plain',
  title: 'git server',
  serves: () => true,
  claims: (headers) => headers['webhook-signature'] !== undefined,
  verify: verifyStandardWebhook,
  gitCredential: (secret) => basicCredential(secret, 'x-access-token'),
  pulls: null,
  api: null,
};
