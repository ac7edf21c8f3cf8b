import type { WebhookDelivery, WebhookHeaders, WebhookVerdict } from '../../host.ts';
import { deliveryId, isSignedBody } from '../signed-body.ts';

/** GitHub has a header of the same name, with SHA-1; `X-Event-Key` is Bitbucket's alone. */
export function claimsBitbucket(headers: WebhookHeaders): boolean {
  return headers['x-event-key'] !== undefined;
}

/** @param idHeader what it calls the id of a delivery */
export function verifyBitbucket(delivery: WebhookDelivery, idHeader: string): WebhookVerdict {
  const { headers } = delivery;
  const signature = headers['x-hub-signature'];
  if (!isSignedBody(delivery, /^sha256=(.*)$/.exec(signature ?? '')?.[1])) return { kind: 'unsigned' };
  return {
    kind: 'genuine',
    delivery: deliveryId(delivery, headers[idHeader], signature),
    isPing: headers['x-event-key'] === 'diagnostics:ping',
  };
}
