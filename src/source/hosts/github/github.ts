import type { SourceHost } from '../../host.ts';
import { deliveryId, isSignedBody } from '../signed-body.ts';
import { basicCredential } from '../token-user.ts';

/**
 * github.com, GitHub Enterprise Cloud with data residency (`ghe.com`), and GitHub Enterprise Server.
 * @see docs.github.com, "Validating webhook deliveries" and "Getting started with the REST API"
 */
export const github: SourceHost = {
  name: 'github',
  title: 'GitHub',
  serves: (hostname) => isCloud(hostname) || hostname.endsWith('.ghe.com'),
  claims: (headers) => headers['x-hub-signature-256'] !== undefined || headers['x-github-event'] !== undefined,
  verify: (delivery) => {
    const { headers } = delivery;
    const signature = headers['x-hub-signature-256'];
    if (!isSignedBody(delivery, /^sha256=(.*)$/.exec(signature ?? '')?.[1])) return { kind: 'unsigned' };
    return {
      kind: 'genuine',
      delivery: deliveryId(delivery, headers['x-github-delivery'], signature),
      isPing: headers['x-github-event'] === 'ping',
    };
  },
  gitCredential: (secret) => basicCredential(secret, 'x-access-token'),
  pulls: { prefix: 'refs/pull/', path: '/pulls', open: ['open'] },
  api: {
    base: ({ hostname, origin }) => {
      if (isCloud(hostname)) return 'https://api.github.com';
      return hostname.endsWith('.ghe.com') ? `https://api.${hostname}` : `${origin}/api/v3`;
    },
    repository: ({ path }) => `/repos/${path.split('/').map(encodeURIComponent).join('/')}`,
    headers: ({ token }) => ({
      authorization: `Bearer ${token}`,
      accept: 'application/vnd.github+json',
      'x-github-api-version': '2022-11-28',
    }),
  },
};

/** `ssh.github.com` takes ssh where only port 443 is open. */
function isCloud(hostname: string): boolean {
  return hostname === 'github.com' || hostname === 'ssh.github.com';
}
