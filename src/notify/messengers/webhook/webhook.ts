import { z } from 'zod';

import { signStandardWebhook } from '../../../source/hosts/standard-webhook.ts';
import type { Messenger } from '../../messenger.ts';
import { Address, addressFrom, post } from '../post.ts';

const Settings = z.strictObject({
  url: Address.describe('Where to: http(s)://..., or a reference to a secret that holds it'),
  secret: z.string().min(1, 'a reference such as env:NAME').describe('Reference to what it is signed with'),
});

/**
 * A program of one's own, told as Standard Webhooks has it: the id of a message is the same at each try, and the signature
 * is by a secret that both know.
 * @see standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`
 */
export const webhook: Messenger<z.infer<typeof Settings>> = {
  name: 'webhook',
  config: Settings,
  async send({ id, message, settings }, means) {
    const { topic, at, ...data } = message;
    const body = JSON.stringify({ type: `towpath.${topic}`, timestamp: at, data });
    const secret = (await means.secretOf(settings.secret)).trim();
    const signed = signStandardWebhook({ id, atMs: means.now(), body, secret });
    const address = await addressFrom(settings.url, means);
    return post(
      { address, body, headers: { 'content-type': 'application/json', ...signed }, secrets: [secret] },
      means,
    );
  },
};
