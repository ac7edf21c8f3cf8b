import fc from 'fast-check';
import type { KyselyPlugin } from 'kysely';
import { pino } from 'pino';
import { Agent } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import { type FixedClock, fixedClock } from '../../lib/clock.ts';
import { createFence } from '../../lib/fence/fence.ts';
import { cases } from '../../lib/testing/cases.ts';
import { forgetMessages, wantMessage } from '../../notify/message-store.ts';
import { TOPICS } from '../../notify/message.ts';
import { broke } from '../../notify/testing/messages.ts';
import { type Receiver, startReceiver } from '../../notify/testing/receiver.ts';
import { json, type Store } from '../../store/database.ts';
import { testStore } from '../../store/testing.ts';
import type { House } from '../house.ts';
import { deliverMessages } from './deliver.ts';

const START = Date.UTC(2030, 0, 1);
const DAY_MS = 86_400_000;
const CHANNELS = ['one', 'two'] as const;

let store: Store;
let receiver: Receiver;
let clock: FixedClock;
const agent = new Agent({ connect: createFence({ allow: '127.0.0.1' }).connector({}) });

beforeAll(async () => {
  [store, receiver] = await Promise.all([testStore(), startReceiver()]);
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  const notify = Object.fromEntries(
    CHANNELS.map((name) => [
      name,
      {
        kind: 'webhook',
        settings: { url: `${receiver.url}/${name}`, secret: 'env:HOOK' },
        environments: null,
        branches: null,
        about: TOPICS,
      },
    ]),
  );
  await store.db
    .insertInto('repository')
    .values({ id: 'r', project_id: 'p', url: 'https://x.test', default_branch: 'main', config: json({ notify }) })
    .execute();
});
beforeEach(() => {
  clock = fixedClock(START);
});
afterEach(async () => {
  receiver.taken.length = 0;
  receiver.instead = undefined;
  for (const table of ['delivery', 'message', 'notify_channel', 'event'] as const)
    await store.db.deleteFrom(table).execute();
});
afterAll(async () => {
  await store.close();
  await Promise.all([receiver.close(), agent.close()]);
});

test('a fact is told once to each channel, in the order of what happened, whoever wants it again and tells it', async () => {
  await want(1, 'broke:1');
  await want(2, 'broke:2');
  await Promise.all([want(3, 'broke:1'), deliver(), deliver(), deliver()]);
  await deliver();
  for (const channel of CHANNELS) expect(toldBy(channel)).toEqual(['broke:1', 'broke:2']);
  expect(new Set(receiver.taken.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
});

test('killed between any two steps, it tells each thing, and what it tells twice has the id that it had', async () => {
  const steps = (
    await stepsOf(async (house) => {
      await want(1, 'broke:1', house);
      await deliver(house);
    })
  ).length;
  expect(steps).toBeGreaterThan(8);
  for (let at = 0; at < steps; at++) {
    await afterEachCase();
    const [house] = killedAt(at);
    await want(1, 'broke:1', house).catch(() => undefined);
    await deliver(house).catch(() => undefined);
    clock.advance(120_000); // the lease of the dead
    await want(1, 'broke:1');
    await deliver();
    const ids = receiver.taken.map(({ path, headers }) => `${path} ${String(headers['webhook-id'])}`);
    expect([at, new Set(ids).size]).toEqual([at, CHANNELS.length]);
    // each channel tells one at a time, so at most that was under way
    expect(ids.length).toBeLessThanOrEqual(2 * CHANNELS.length);
  }
});

test('what was fixed is told only where what broke was told, and after it', async () => {
  await want(1, 'fixed:0', undefined, 'fixed');
  await deliver();
  expect(receiver.taken).toEqual([]);
  receiver.instead = (response) => response.writeHead(toldBy('one').length > 0 ? 500 : 204).end();
  await want(2, 'broke:1');
  await want(3, 'fixed:1', undefined, 'fixed');
  await want(4, 'fixed:2', undefined, 'fixed'); // it is fixed already
  for (let hour = 0; hour < 80; hour++, clock.advance(3_600_000)) await deliver();
  receiver.instead = undefined;
  await want(5, 'broke:5');
  await deliver();
  for (const channel of CHANNELS) {
    const told = toldBy(channel);
    const wasTold = told.includes('broke:1');
    expect(told.filter((key) => key === 'fixed:2')).toEqual([]);
    if (told.includes('fixed:1')) expect(wasTold && told.indexOf('broke:1') < told.indexOf('fixed:1')).toBe(true);
    expect(told.at(-1)).toBe('broke:5');
  }
});

test('whoever is away is asked less and less often, one who asks to be left alone not before, and another is told meanwhile', async () => {
  receiver.instead = (response) => {
    const isOne = receiver.taken.at(-1)?.path === '/one';
    response.writeHead(isOne ? 502 : 429, isOne ? {} : { 'retry-after': '600' }).end();
  };
  await want(1, 'broke:1');
  for (let second = 0; second < 590; second += 5, clock.advance(5_000)) await deliver();
  expect(toldBy('one').length).toBeGreaterThan(3);
  expect(toldBy('one').length).toBeLessThan(9);
  expect(toldBy('two')).toHaveLength(1);
  receiver.instead = undefined;
  clock.advance(3_600_000);
  await deliver();
  expect(await store.db.selectFrom('delivery').select('channel').where('told_at', 'is', null).execute()).toEqual([]);
});

test('after three days in vain it is given up, with an event that says why, and is not tried again', async () => {
  receiver.instead = (response) => response.writeHead(404).end('no such hook');
  await want(1, 'broke:1');
  for (let hour = 0; hour < 100; hour++, clock.advance(3_600_000)) await deliver();
  const events = await store.db.selectFrom('event').select(['kind', 'data']).execute();
  expect(events.map(({ kind }) => kind)).toEqual(['message.given-up', 'message.given-up']);
  expect(events[0]?.data).toMatchObject({ problem: { what: expect.stringContaining('404: no such hook') as string } });
  const { length } = receiver.taken;
  clock.advance(DAY_MS);
  await deliver();
  expect(receiver.taken).toHaveLength(length);
});

test('what was told is forgotten, but for what is broken still', async () => {
  await want(1, 'broke:1');
  await want(2, 'yanked:1', undefined, null);
  await deliver();
  await forgetMessages(store.db, clock.now() + DAY_MS);
  expect(await store.db.selectFrom('message').select('key').execute()).toEqual([{ key: 'broke:1' }]);
});

test('whatever the order of breaks and fixes, each fix mends the break before it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom<'broke' | 'fixed'>('broke', 'fixed'), { maxLength: 8 }),
      async (turns) => {
        await afterEachCase();
        for (const [at, turn] of turns.entries()) await want(at + 1, `${turn}:${at}`, undefined, turn);
        await deliver();
        const expected = turns.flatMap((turn, at) =>
          turn === 'broke' || turns[at - 1] === 'broke' ? [`${turn}:${at}`] : [],
        );
        expect(toldBy('one')).toEqual(expected);
      },
    ),
    cases(10),
  );
});

async function afterEachCase(): Promise<void> {
  receiver.taken.length = 0;
  for (const table of ['delivery', 'message', 'notify_channel', 'event'] as const)
    await store.db.deleteFrom(table).execute();
}

async function want(
  eventId: number,
  key: string,
  by: Pick<House, 'store'> = { store },
  to: 'broke' | 'fixed' | null = 'broke',
): Promise<void> {
  const draft = { key, turn: to === null ? null : { about: 'environment e', to }, message: { ...broke, title: key } };
  const destinations = CHANNELS.map((channel) => ({ channel, receivers: [''] }));
  await by.store.transaction((tx) =>
    wantMessage(tx, { projectId: 'p', eventId, at: new Date(clock.now()), draft, destinations }),
  );
}

function deliver(house: House = houseOf(store)): Promise<void> {
  return deliverMessages(house, new AbortController().signal);
}

/** What the outbox needs of a house. */
function houseOf(of: Store): House {
  const outgoing = { agentFor: () => agent, mail: null };
  const secretOf = () => Promise.resolve('the canary of a secret');
  return { store: of, clock, outgoing, secretOf, log: pino({ level: 'silent' }) } as Partial<House> as House;
}

function toldBy(channel: string): string[] {
  return receiver.taken
    .filter(({ path }) => path === `/${channel}`)
    .map(({ body }) => (JSON.parse(body) as { data: { title: string } }).data.title);
}

/** The questions that are put to the database meanwhile: between any two a server may be killed. */
async function stepsOf(work: (house: House) => Promise<void>): Promise<string[]> {
  const [house, asked] = killedAt(Number.POSITIVE_INFINITY);
  await work(house);
  return asked;
}

/** A house whose database hears nothing after so many questions, as if the process had ended. */
function killedAt(last: number): [House, string[]] {
  const asked: string[] = [];
  const mortal: KyselyPlugin = {
    transformQuery: ({ node }) => {
      if (asked.length >= last) throw new Error('killed');
      asked.push(node.kind);
      return node;
    },
    transformResult: ({ result }) => Promise.resolve(result),
  };
  const transaction: Store['transaction'] = (work) => store.transaction((tx) => work(tx.withPlugin(mortal)));
  return [houseOf({ ...store, db: store.db.withPlugin(mortal), transaction }), asked];
}
