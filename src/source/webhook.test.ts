import { createHmac } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { newId } from '../lib/ids.ts';
import type { Store } from '../store/database.ts';
import { testStore } from '../store/testing.ts';
import { forgetDeliveries } from './wake-store.ts';
import { bitbucketTest, githubPing } from './testing/deliveries.ts';
import { receiveWebhook, type WebhookOutcome, type WebhookRequest } from './webhook.ts';

const secret = `whsec_${Buffer.from('a secret of thirty-two bytes long').toString('base64')}`;
const now = 1_800_000_000_000;
const later = new Date(now + 3_600_000);
let store: Store;
beforeAll(async () => {
  store = await testStore();
});
afterAll(() => store.close());

test('a signed webhook wakes the poll; doubled, it changes nothing', async () => {
  const repositoryId = await repository();
  const request = signed({ repositoryId });
  expect(await receive(request)).toBe('woken');
  expect(await dueAt(repositoryId)).toBe(now);
  await store.db.updateTable('repository').set({ next_poll_at: later }).where('id', '=', repositoryId).execute();
  expect(await receive(request)).toBe('known');
  expect(await dueAt(repositoryId)).toBe(later.getTime());
  expect(await receive(signed({ repositoryId, id: 'msg_2' }))).toBe('woken');
});

test('two equal deliveries at the same moment wake once', async () => {
  const request = signed({ repositoryId: await repository() });
  expect((await Promise.all([receive(request), receive(request)])).sort()).toEqual(['known', 'woken']);
});

test('who sends one is not told where the secret should be', async () => {
  const request = signed({ repositoryId: await repository() });
  const secretOf = () => Promise.reject(new Error('There is no file:/etc/towpath/hook-of-shop.'));
  const refused = receiveWebhook(request, { store, now, secretOf });
  await expect(refused).rejects.toMatchObject({ code: 'webhook.secret-unavailable' });
  await expect(refused).rejects.not.toThrow(/hook-of-shop/);
});

test('what a body says is not believed: only its signature counts', async () => {
  const repositoryId = await repository();
  expect(await receive(signed({ repositoryId, body: 'not even JSON \u0000' }))).toBe('woken');
  expect(
    await store.db.selectFrom('ref_event').selectAll().where('repository_id', '=', repositoryId).execute(),
  ).toEqual([]);
});

test('a delivery id counts for its own repository: nobody can use up the ids of another', async () => {
  const [one, other] = [await repository(), await repository()];
  expect(await receive(signed({ repositoryId: one }))).toBe('woken');
  expect(await receive(signed({ repositoryId: other }))).toBe('woken');
});

test('a secret may be changed: one good signature among several is enough', async () => {
  const request = signed({ repositoryId: await repository() });
  const signature = `v1,${Buffer.alloc(32).toString('base64')} ${request.headers['webhook-signature']}`;
  expect(await receive({ ...request, headers: { ...request.headers, 'webhook-signature': signature } })).toBe('woken');
});

test('the published example of Standard Webhooks is genuine', async () => {
  const atMs = 1_674_087_231_000;
  const example: WebhookRequest = {
    repositoryId: await repository(),
    headers: {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
    body: Buffer.from('{"test": 2432232314}'),
  };
  const deps = { store, secretOf: () => Promise.resolve('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') };
  expect(await receiveWebhook(example, { ...deps, now: 1_614_265_330_000 })).toBe('woken');
  await expect(receiveWebhook(example, { ...deps, now: atMs })).rejects.toMatchObject({ code: 'webhook.stale' });
});

test.each([
  ['another body', (request: WebhookRequest) => ({ ...request, body: Buffer.from('{}') })],
  ['another id', (request: WebhookRequest) => withHeader(request, 'webhook-id', 'msg_9')],
  ['another time', (request: WebhookRequest) => withHeader(request, 'webhook-timestamp', String(now / 1000 + 1))],
  ['a time that is none', (request: WebhookRequest) => withHeader(request, 'webhook-timestamp', 'NaN')],
  ['no signature', (request: WebhookRequest) => withHeader(request, 'webhook-signature', undefined)],
  ['an empty signature', (request: WebhookRequest) => withHeader(request, 'webhook-signature', 'v1,')],
  ['another scheme', (request: WebhookRequest) => withHeader(request, 'webhook-signature', 'v1a,AAAA')],
  ['no id', (request: WebhookRequest) => withHeader(request, 'webhook-id', undefined)],
  ['an id without end', (request: WebhookRequest) => withHeader(request, 'webhook-id', 'x'.repeat(10_000))],
])('a webhook with %s is refused and wakes nothing', async (_, change) => {
  const repositoryId = await repository();
  await expect(receive(change(signed({ repositoryId })))).rejects.toMatchObject({ code: 'webhook.unsigned' });
  expect(await dueAt(repositoryId)).toBe(later.getTime());
});

test('a webhook that was signed long ago, or ahead of us, is refused', async () => {
  const repositoryId = await repository();
  for (const atMs of [now - 301_000, now + 301_000])
    await expect(receive(signed({ repositoryId, atMs }))).rejects.toMatchObject({ code: 'webhook.stale' });
});

test('an unknown repository and one without a secret answer like a wrong signature', async () => {
  const problem = { code: 'webhook.unsigned' };
  await expect(receive(signed({ repositoryId: 'rep_none' }))).rejects.toMatchObject(problem);
  await expect(receive(signed({ repositoryId: await repository(null) }))).rejects.toMatchObject(problem);
});

test('who only asks whether somebody listens is answered, and nothing is woken', async () => {
  const repositoryId = await repository();
  expect(await receive({ repositoryId, ...githubPing({ secret, id: 'ping-1', atMs: now }) })).toBe('heard');
  expect(await receive({ repositoryId, ...bitbucketTest })).toBe('heard');
  expect(await dueAt(repositoryId)).toBe(later.getTime());
  expect(await receive({ repositoryId: 'rep_none', ...bitbucketTest })).toBe('heard');
  await expect(
    receive({ repositoryId, ...githubPing({ secret: 'another', id: 'ping-2', atMs: now }) }),
  ).rejects.toMatchObject({ code: 'webhook.unsigned' });
});

test('old deliveries are forgotten', async () => {
  const repositoryId = await repository();
  await receive(signed({ repositoryId }));
  await forgetDeliveries(store.db, now + 1);
  expect(await store.db.selectFrom('webhook_delivery').selectAll().execute()).toEqual([]);
});

function receive(request: WebhookRequest): Promise<WebhookOutcome> {
  return receiveWebhook(request, { store, now, secretOf: (reference) => Promise.resolve(reference) });
}

function signed({
  repositoryId,
  id = 'msg_1',
  body = '{"ref":"refs/heads/evil"}',
  atMs = now,
}: {
  repositoryId: string;
  id?: string;
  body?: string;
  atMs?: number;
}): WebhookRequest {
  const timestamp = String(atMs / 1000);
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return {
    repositoryId,
    headers: { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` },
    body: Buffer.from(body),
  };
}

function withHeader(request: WebhookRequest, name: string, value: string | undefined): WebhookRequest {
  return { ...request, headers: { ...request.headers, [name]: value } };
}

async function repository(webhookSecret: string | null = secret): Promise<string> {
  const [id, projectId] = [newId('rep'), newId('prj')];
  await store.db.insertInto('project').values({ id: projectId, name: projectId }).execute();
  await store.db
    .insertInto('repository')
    .values({
      id,
      project_id: projectId,
      url: 'https://x.example/y',
      default_branch: 'main',
      webhook_secret: webhookSecret,
      next_poll_at: later,
    })
    .execute();
  return id;
}

async function dueAt(id: string): Promise<number> {
  const row = await store.db
    .selectFrom('repository')
    .select('next_poll_at')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  return row.next_poll_at.getTime();
}
