import type { WebhookDelivery } from '../../../source/host.ts';
import { isSignedBody } from '../../../source/hosts/signed-body.ts';

/** Whether SonarQube sent it: the HMAC-SHA256 of the body by the webhook's secret, in hexadecimal. */
export function isFromSonar(delivery: WebhookDelivery): boolean {
  return isSignedBody(delivery, delivery.headers['x-sonar-webhook-hmac-sha256']);
}
