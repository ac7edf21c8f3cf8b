import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { listRefs } from '../git/ls-refs.ts';
import { openMirror } from '../git/mirror.ts';
import { type Forge, startForge } from '../git/testing/forge.ts';
import { fixedClock } from '../lib/clock.ts';
import { cases } from '../lib/testing/cases.ts';
import type { WebhookHeaders } from '../source/host.ts';
import { pollOnce, type PollDeps } from '../source/poller.ts';
import { pushes } from '../source/testing/deliveries.ts';
import { receiveWebhook } from '../source/webhook.ts';
import type { Store } from '../store/database.ts';
import { testStore } from '../store/testing.ts';
import { testServer, type TestServer } from './testing/server.ts';

const NOW = 1_800_000_000_000;
const LATER = new Date(NOW + 3_600_000);
const SECRET = 'a secret of this repository';
const clock = fixedClock(NOW);
let store: Store;
let house: TestServer;
let forge: Forge;

beforeAll(async () => {
  [store, house, forge] = await Promise.all([testStore(), testServer(), startForge()]);
  house.useCases.webhook = (repositoryId, headers, body) =>
    receiveWebhook({ repositoryId, headers, body }, { store, now: NOW, secretOf: async (reference) => reference });
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  await watch('rpo_1', 'https://git.example/shop');
});

afterAll(async () => {
  await house.server.close();
  await store.close();
  await forge.close();
});

const words = fc.oneof(
  fc.constantFrom('', 'sha256=', 'v1,', 'null', '\u0000', '../../x', 'x'.repeat(5000), 'ÿÿÿÿ', '__proto__', '-1'),
  fc.string({ unit: 'binary', maxLength: 30 }),
);
/** A part of a body: taken out, put twice, or put in place of. */
const change = fc.record({ at: fc.nat(), length: fc.nat({ max: 40 }), put: fc.uint8Array({ maxLength: 20 }) });
const anyDelivery = fc.record({
  host: fc.constantFrom(...Object.keys(pushes)),
  changes: fc.array(change, { maxLength: 4 }),
  whole: fc.option(fc.constantFrom('', '{', '[]', '['.repeat(100_000), 'null', 'x'.repeat(6 * 1024 * 1024)), {
    freq: 8,
  }),
  /** Signed as it was before it was changed, by somebody who has not the secret, or as a host would sign it. */
  signed: fc.constantFrom('before', 'by another', 'rightly'),
  headers: fc.array(fc.tuple(fc.nat(), fc.option(words)), { maxLength: 2 }),
  more: fc.dictionary(fc.constantFrom('content-type', 'x-event-key', 'webhook-id', 'x-gitlab-event-uuid'), words, {
    maxKeys: 1,
  }),
  repository: fc.oneof({ weight: 6, arbitrary: fc.constant('rpo_1') }, words),
});

test('whatever is sent as a webhook is answered, and what is refused writes nothing', async () => {
  let count = 0;
  await fc.assert(
    fc.asyncProperty(anyDelivery, async ({ host, changes, whole, signed, headers, more, repository }) => {
      const send = pushes[host] ?? expect.unreachable();
      const wish = { secret: signed === 'by another' ? 'another secret' : SECRET, id: `id-${count++}`, atMs: NOW };
      const recorded = send(wish);
      const body = whole === null ? changed(recorded.body, changes) : Buffer.from(whole);
      const sent = signed === 'rightly' ? send({ ...wish, body }) : { ...recorded, body };
      const before = await written();
      const answer = await deliver(repository, { ...altered(sent.headers, headers), ...more }, sent.body);
      const { code, outcome } = answer.json<{ code?: string; outcome?: string }>();
      expect(answer.statusCode, answer.body).toBeLessThan(500);
      if (answer.statusCode === 202) {
        expect(outcome).toBe('woken');
        expect(await written()).toBe(before + 2);
        await store.db.updateTable('repository').set({ next_poll_at: LATER }).execute();
        return;
      }
      if (answer.statusCode === 200) expect(['known', 'heard']).toContain(outcome);
      else expect(code).toMatch(/^[a-z]+\.[a-z-]+$/);
      expect(await written()).toBe(before);
      const isUntouched = headers.length === 0 && Object.keys(more).length === 0 && repository === 'rpo_1';
      if (isUntouched && signed === 'rightly') expect(code).toBe('http.too-large');
    }),
    cases(200),
  );
  expect((await house.server.inject('/api/v1/health')).statusCode).toBe(200);
});

test('webhooks that are doubled and come in any order tell each commit once, lose none, and cost no more for being many', async () => {
  const repository = await forge.createRepository('shuffled');
  await watch('rpo_2', repository.url);
  await store.db.updateTable('repository').set({ next_poll_at: LATER }).where('id', '=', 'rpo_1').execute();
  const directory = await mkdtemp(join(tmpdir(), 'towpath-webhooks-'));
  const mirror = await openMirror({ url: repository.url, directory, allow: ['http'] });
  const poll: PollDeps = {
    store,
    clock,
    chance: () => 0.5,
    remoteOf: ({ url }) => ({ url, allow: ['http'] }),
    list: listRefs,
    mirrorOf: async () => mirror,
    onNews: async () => undefined,
  };
  const names = Object.keys(pushes);
  const rounds = 10;
  const each = Math.ceil(cases(200).numRuns / rounds);
  const commits: string[] = [];
  const costs: number[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      commits.push(await repository.commit({ branch: `b${round}`, files: { a: String(round) } }));
      const told = Array.from({ length: each }, (_, i) => {
        const send = pushes[names[i % names.length] ?? ''] ?? expect.unreachable();
        return send({ secret: SECRET, id: `push-${round}-${i}`, atMs: NOW });
      });
      const [shuffled = []] = fc.sample(fc.shuffledSubarray([...told, ...told], { minLength: 2 * each }), 1);
      const outcomes: number[] = [];
      for (let at = 0; at < shuffled.length; at += 20) {
        const some = shuffled.slice(at, at + 20).map(({ headers, body }) => deliver('rpo_2', headers, body));
        const [answers] = await Promise.all([Promise.all(some), pollOnce(poll)]);
        outcomes.push(...answers.map(({ statusCode }) => statusCode));
      }
      await pollOnce(poll);
      expect(outcomes.filter((status) => status === 202)).toHaveLength(each);
      expect(outcomes.filter((status) => status === 200)).toHaveLength(each);
      costs.push(await pagesOfAWebhook());
    }
    const events = await store.db.selectFrom('ref_event').selectAll().where('repository_id', '=', 'rpo_2').execute();
    expect(new Set(events.map((event) => event.after_sha))).toEqual(new Set(commits));
    expect(events).toHaveLength(commits.length);
    expect(Math.max(...costs.slice(1)), String(costs)).toBeLessThan(60);
  } finally {
    mirror.close();
    await rm(directory, { recursive: true });
  }
});

function deliver(repository: string, headers: WebhookHeaders, body: Buffer) {
  const url = `/hooks/${encodeURIComponent(repository.toWellFormed())}`;
  return house.server.inject({ method: 'POST', url, headers: { ...headers }, payload: body });
}

function changed(body: Buffer, changes: readonly { at: number; length: number; put: Uint8Array }[]): Buffer {
  return changes.reduce((bytes, { at, length, put }) => {
    const from = at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(Math.min(bytes.length, from + length))]);
  }, body);
}

function altered(headers: WebhookHeaders, changes: readonly (readonly [number, string | null])[]): WebhookHeaders {
  const names = Object.keys(headers);
  const others = changes.map(([at, word]) => [names[at % names.length] ?? '', word ?? undefined] as const);
  const all: WebhookHeaders = { ...headers, ...Object.fromEntries(others) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Deliveries that were recorded, and repositories that are to be polled now. */
async function written(): Promise<number> {
  const rows = await store.db.selectFrom('webhook_delivery').select('delivery').execute();
  const due = await store.db.selectFrom('repository').select('id').where('next_poll_at', '<', LATER).execute();
  return rows.length + due.length;
}

async function watch(id: string, url: string): Promise<void> {
  const row = { id, project_id: 'p', url, default_branch: 'main', webhook_secret: SECRET, next_poll_at: LATER };
  await store.db.insertInto('repository').values(row).execute();
}

/** What Postgres has to look at for the three statements of one more delivery, which is then taken back. */
async function pagesOfAWebhook(): Promise<number> {
  let pages = 0;
  const count = async (statement: ReturnType<typeof sql>) => {
    const { rows } = await sql<{ 'QUERY PLAN': { Plan: Record<string, number> }[] }>`
      explain (analyze, buffers, format json) ${statement}`.execute(store.db);
    const plan = rows[0]?.['QUERY PLAN'][0]?.Plan ?? {};
    pages += (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
  };
  await count(sql`select webhook_secret from repository where id = 'rpo_2' and left_at is null`);
  await count(sql`insert into webhook_delivery (host, delivery, repository_id, received_at)
    select host, delivery, repository_id, received_at from webhook_delivery where repository_id = 'rpo_2' limit 1
    on conflict do nothing`);
  await count(sql`update repository set woken_at = woken_at where id = 'rpo_2'`);
  return pages;
}
