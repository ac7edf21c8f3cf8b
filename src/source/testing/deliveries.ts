import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

import type { WebhookHeaders } from '../host.ts';

/** What a host sends when somebody pushed. */
export interface HostDelivery {
  readonly headers: WebhookHeaders;
  readonly body: Buffer;
}

export interface Push {
  readonly secret: string;
  /** Of the delivery, in the form that the host gives its own. */
  readonly id: string;
  readonly atMs: number;
  /** Signed and sent in place of the recorded body. */
  readonly body?: Buffer;
}

/** A push as each host tells it: its recorded body, signed as it signs, with all headers that it sends. */
export const pushes: Readonly<Record<string, (push: Push) => HostDelivery>> = {
  github: ({ secret, id, body: given }) => {
    const body = given ?? recorded('github-push');
    return { body, headers: githubHeaders('push', secret, id, body) };
  },
  'gitlab (token)': ({ secret, id, body: given }) => ({
    body: given ?? recorded('gitlab-push'),
    headers: { ...gitlabHeaders(id), 'x-gitlab-token': secret },
  }),
  'gitlab (signing token)': ({ secret, id, atMs, body: given }) => {
    const body = given ?? recorded('gitlab-push');
    return { body, headers: { ...gitlabHeaders(id), ...standardHeaders(secret, id, atMs, body) } };
  },
  gitea: ({ secret, id, body: given }) => {
    const body = given ?? recorded('gitea-push');
    return { body, headers: giteaHeaders(secret, id, body) };
  },
  forgejo: ({ secret, id, body: given }) => {
    const body = given ?? recorded('gitea-push');
    return {
      body,
      headers: {
        ...giteaHeaders(secret, id, body),
        'x-forgejo-delivery': id,
        'x-forgejo-event': 'push',
        'x-forgejo-event-type': 'push',
        'x-forgejo-signature': hmac('sha256', secret, body),
      },
    };
  },
  bitbucket: ({ secret, id, body: given }) => {
    const body = given ?? recorded('bitbucket-push');
    return {
      body,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Bitbucket-Webhooks/2.0',
        'x-attempt-number': '1',
        'x-event-key': 'repo:push',
        'x-hook-uuid': 'ff4f7be1-1f1a-4b2e-a4a9-8f9f2cb1b1c3',
        'x-request-uuid': id,
        'x-hub-signature': `sha256=${hmac('sha256', secret, body)}`,
      },
    };
  },
  'bitbucket-dc': ({ secret, id, body: given }) => {
    const body = given ?? recorded('bitbucket-dc-push');
    return {
      body,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'user-agent': 'Atlassian HttpClient 2.1.5 / Bitbucket-8.19.0',
        'x-event-key': 'repo:refs_changed',
        'x-request-id': id,
        'x-hub-signature': `sha256=${hmac('sha256', secret, body)}`,
      },
    };
  },
  plain: ({ secret, id, atMs, body: given }) => {
    const body = given ?? Buffer.from('{"ref":"refs/heads/evil"}');
    return { body, headers: standardHeaders(secret, id, atMs, body) };
  },
};

/** What GitHub sends when a webhook was just set up. */
export function githubPing({ secret, id }: Push): HostDelivery {
  const body = recorded('github-ping');
  return { body, headers: githubHeaders('ping', secret, id, body) };
}

/** What Bitbucket Data Center sends for "Test connection": without a signature, whatever secret is set. */
export const bitbucketTest: HostDelivery = {
  body: Buffer.from('{"test":true}'),
  headers: { 'content-type': 'application/json', 'x-event-key': 'diagnostics:ping', 'x-request-id': 'a1' },
};

function recorded(name: string): Buffer {
  return readFileSync(new URL(`../../../fixtures/webhooks/${name}.json`, import.meta.url));
}

function hmac(algorithm: 'sha1' | 'sha256', secret: string, body: Buffer): string {
  return createHmac(algorithm, secret).update(body).digest('hex');
}

function githubHeaders(event: string, secret: string, id: string, body: Buffer): WebhookHeaders {
  return {
    'content-type': 'application/json',
    'user-agent': 'GitHub-Hookshot/044aadd',
    'x-github-delivery': id,
    'x-github-event': event,
    'x-github-hook-id': '292430182',
    'x-github-hook-installation-target-id': '186853002',
    'x-github-hook-installation-target-type': 'repository',
    'x-hub-signature': `sha1=${hmac('sha1', secret, body)}`,
    'x-hub-signature-256': `sha256=${hmac('sha256', secret, body)}`,
  };
}

function gitlabHeaders(id: string): WebhookHeaders {
  return {
    'content-type': 'application/json',
    'user-agent': 'GitLab/18.6.0',
    'idempotency-key': id,
    'x-gitlab-event': 'Push Hook',
    'x-gitlab-instance': 'https://gitlab.com',
    'x-gitlab-webhook-uuid': '02affd2d-2cba-4033-917d-ec22d5dc4b38',
    'x-gitlab-event-uuid': '13792a34-cac6-4fda-95a8-c58e00a3954e',
  };
}

function giteaHeaders(secret: string, id: string, body: Buffer): WebhookHeaders {
  const signature = hmac('sha256', secret, body);
  return {
    'content-type': 'application/json',
    'user-agent': 'Go-http-client/1.1',
    'x-gitea-delivery': id,
    'x-gitea-event': 'push',
    'x-gitea-event-type': 'push',
    'x-gitea-signature': signature,
    'x-gogs-delivery': id,
    'x-gogs-event': 'push',
    'x-gogs-event-type': 'push',
    'x-gogs-signature': signature,
    'x-hub-signature': `sha1=${hmac('sha1', secret, body)}`,
    'x-hub-signature-256': `sha256=${signature}`,
    'x-github-delivery': id,
    'x-github-event': 'push',
    'x-github-event-type': 'push',
  };
}

function standardHeaders(secret: string, id: string, atMs: number, body: Buffer): WebhookHeaders {
  const timestamp = String(Math.floor(atMs / 1000));
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}
