import { describe, expect, test } from 'vitest';

import type { SourceHost, WebhookHeaders } from './host.ts';
import { hosts } from './hosts.ts';
import { bitbucketTest, githubPing, type HostDelivery, pushes } from './testing/deliveries.ts';

const now = Date.parse('2026-11-29T10:00:00Z');
const id = '72d3162e-cc78-11e3-81ab-4c9367dc0958';
const secret = 'a secret of this repository';

test('each host of the family sends a push in this suite', () => {
  const senders = new Set(Object.keys(pushes).map(hostOfPush));
  expect([...senders].toSorted()).toEqual(hosts.map(({ name }) => name).toSorted());
});

describe.each(Object.entries(pushes))('a push of %s', (name, send) => {
  const push = send({ secret, id, atMs: now });

  test('is claimed by its own host, whatever headers of others it carries', () => {
    expect(claimerOf(push.headers)?.name).toBe(hostOfPush(name));
  });

  test('is genuine, known by the id that the host gave, and no ping', () => {
    const verdict = judge(push);
    expect(verdict).toMatchObject({ kind: 'genuine', delivery: id });
    expect(verdict).not.toHaveProperty('isPing', true);
  });

  test('is refused under another secret, an empty one, and one that was cut or lengthened', () => {
    for (const wrong of ['another', '', secret.slice(1), `${secret} `])
      expect(judge(push, wrong)).toEqual({ kind: 'unsigned' });
  });

  test('is refused without its signature, and with one that is empty, cut, or of other letters', () => {
    const names = Object.keys(push.headers).filter((header) => /signature|token/.test(header));
    for (const change of [
      () => undefined,
      () => '',
      (value: string) => value.slice(0, -2),
      (value: string) => `00${value}`,
      (value: string) => value.replace(/.{4}$/, 'ÿÿÿÿ'),
    ]) {
      const changed = names.map((header) => [header, change(push.headers[header] ?? '')]);
      const headers = { ...push.headers, ...(Object.fromEntries(changed) as WebhookHeaders) };
      const host = claimerOf(headers);
      expect(host === undefined ? 'unclaimed' : host.verify({ headers, body: push.body, secret, now }).kind).toMatch(
        /^un/,
      );
    }
  });

  if (name === 'gitlab (token)') {
    test('carries the secret itself, which says nothing of the body', () => {
      expect(judge({ ...push, body: Buffer.from('other') })).toMatchObject({ kind: 'genuine' });
    });
  } else {
    test('is refused when one byte of its body is another', () => {
      const body = Buffer.from(push.body);
      body[10] = (body[10] ?? 0) ^ 1;
      expect(judge({ ...push, body })).toEqual({ kind: 'unsigned' });
    });
  }

  test('without a usable id is known by what it is', () => {
    const ids = Object.entries(push.headers).filter(([header, value]) => value === id && header !== 'webhook-id');
    if (ids.length === 0) return; // its id is signed, and never absent
    const seen = ['', 'x'.repeat(10_000), 'with a\u0000 byte'].map((value) =>
      judge({ ...push, headers: { ...push.headers, ...Object.fromEntries(ids.map(([header]) => [header, value])) } }),
    );
    if (seen.every((verdict) => 'delivery' in verdict && verdict.delivery === id)) return; // signed in another place
    for (const verdict of seen) expect(verdict).toMatchObject({ delivery: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });
});

test('a push that was signed by time is stale later, and a token beside it does not make it so', () => {
  const push = pushes['gitlab (signing token)']?.({ secret, id, atMs: now - 301_000 });
  if (push === undefined) throw new Error('It is not there.');
  expect(judge(push)).toEqual({ kind: 'stale' });
  expect(judge({ ...push, headers: { ...push.headers, 'x-gitlab-token': secret } })).toMatchObject({ kind: 'genuine' });
  expect(judge({ ...push, headers: { ...push.headers, 'x-gitlab-token': 'other' } })).toEqual({ kind: 'stale' });
});

test('GitHub’s ping is genuine and a ping; unsigned it is neither', () => {
  const ping = githubPing({ secret, id, atMs: now });
  expect(judge(ping)).toMatchObject({ kind: 'genuine', isPing: true });
  expect(judge(ping, 'another')).toEqual({ kind: 'unsigned' });
});

test('what asks without a signature whether somebody listens is Bitbucket’s test alone', () => {
  const asking = (headers: WebhookHeaders) => claimerOf(headers)?.isUnsignedPing?.(headers) ?? false;
  expect(asking(bitbucketTest.headers)).toBe(true);
  expect(asking({ ...bitbucketTest.headers, 'x-hub-signature': 'sha256=00' })).toBe(false);
  for (const push of Object.values(pushes)) expect(asking(push({ secret, id, atMs: now }).headers)).toBe(false);
  expect(asking(githubPing({ secret, id, atMs: now }).headers)).toBe(false);
});

test('the published examples of GitHub and Bitbucket are genuine', () => {
  const known = "It's a Secret to Everybody";
  const github: HostDelivery = {
    headers: { 'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' },
    body: Buffer.from('Hello, World!'),
  };
  const bitbucket: HostDelivery = {
    headers: {
      'x-event-key': 'repo:push',
      'x-hub-signature': 'sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9',
    },
    body: Buffer.from('Hello World!'),
  };
  for (const delivery of [github, bitbucket]) expect(judge(delivery, known)).toMatchObject({ kind: 'genuine' });
});

function hostOfPush(name: string): string {
  return name === 'forgejo' ? 'gitea' : name.replace(/ .*/, '');
}

function claimerOf(headers: WebhookHeaders): SourceHost | undefined {
  return hosts.find((host) => host.claims(headers));
}

function judge({ headers, body }: HostDelivery, under = secret) {
  const host = claimerOf(headers);
  if (host === undefined) throw new Error('Nobody claims it.');
  return host.verify({ headers, body, secret: under, now });
}
