import { createHmac, timingSafeEqual } from 'node:crypto';

import type { WebhookDelivery, WebhookVerdict } from '../host.ts';

const TOLERANCE_MS = 5 * 60_000;

/**
 * Judges a webhook signed as Standard Webhooks has it: HMAC-SHA256 over `id.timestamp.body` in
 * `webhook-signature: v1,<base64>` (several, parted by spaces, while a secret is changed).
 * @see standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`
 */
export function verifyStandardWebhook(delivery: WebhookDelivery): WebhookVerdict {
  const id = delivery.headers['webhook-id'] ?? '';
  const timestamp = delivery.headers['webhook-timestamp'] ?? '';
  if (!/^[\x21-\x7e]{1,256}$/.test(id) || !/^\d{1,12}$/.test(timestamp)) return { kind: 'unsigned' };
  if (!isSigned(delivery, id, timestamp)) return { kind: 'unsigned' };
  if (Math.abs(delivery.now - Number(timestamp) * 1000) > TOLERANCE_MS) return { kind: 'stale' };
  return { kind: 'genuine', delivery: id };
}

/** The headers of a webhook of ours. @param atMs of this try */
export function signStandardWebhook({
  id,
  atMs,
  body,
  secret,
}: {
  id: string;
  atMs: number;
  body: string;
  secret: string;
}) {
  const timestamp = String(Math.floor(atMs / 1000));
  const signature = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

function isSigned({ headers, body, secret }: WebhookDelivery, id: string, timestamp: string): boolean {
  const key = keyOf(secret);
  if (key.length === 0) return false;
  const wanted = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  const given = (headers['webhook-signature'] ?? '').split(/[ ,]+(?=v1,)/, 10).filter((text) => text.startsWith('v1,'));
  return given.some((text) => {
    const signature = Buffer.from(text.slice('v1,'.length), 'base64');
    return signature.length === wanted.length && timingSafeEqual(signature, wanted);
  });
}

/** `whsec_` and base64, as the standard writes secrets; any other text is taken as it is. */
function keyOf(secret: string): Buffer {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);
}
