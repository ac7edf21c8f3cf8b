import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

import type { WebhookDelivery } from '../host.ts';

/** Whether `hex` is the HMAC-SHA256 of the body, which most hosts write so. An empty secret signs nothing. */
export function isSignedBody({ body, secret }: WebhookDelivery, hex: string | undefined): boolean {
  if (secret === '' || hex === undefined || !/^[0-9a-f]{64}$/i.test(hex)) return false;
  return timingSafeEqual(createHmac('sha256', secret).update(body).digest(), Buffer.from(hex, 'hex'));
}

/** Equal texts, compared in a time that does not tell how much of them is equal. */
export function isSameText(one: string, other: string): boolean {
  return timingSafeEqual(createHash('sha256').update(one).digest(), createHash('sha256').update(other).digest());
}

/** What a delivery is known by, so that it counts once: the host's own id, or else a hash of what came. */
export function deliveryId({ body }: WebhookDelivery, given: string | undefined, signature = ''): string {
  return given !== undefined && /^[\x21-\x7e]{1,200}$/.test(given)
    ? given
    : createHash('sha256').update(body).update(signature).digest('hex');
}
