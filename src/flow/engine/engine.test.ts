import { DBOSClient } from '@dbos-inc/dbos-sdk';
import { sql } from 'kysely';
import { expect, onTestFinished, test, vi } from 'vitest';

import { DISK_FULL } from '../../lib/disk-full.ts';
import { TowpathError } from '../../lib/error.ts';
import { type Store, STORE_AWAY } from '../../store/database.ts';
import { readMigrations } from '../../store/migrate.ts';
import { durable } from './durable.ts';
import type { Durable } from './durable.ts';
import type { Engine } from './engine.ts';
import { APPLICATION, ENGINE_VERSION, engineUrl } from './identity.ts';
import { pause, step, transaction } from './step.ts';
import { testEngine, testEngineStore } from './testing.ts';
import type { WorkerOptions } from './worker.ts';

test('a workflow takes what its steps return, and its rows are written', async () => {
  const { engine, store } = await worker([
    durable('greet', async ({ name }: { name: string }) => {
      const greeting = await step('compose', () => ({ text: `Good day, ${name}` }));
      return transaction('keep', async (tx) => {
        await tx.insertInto('project').values({ id: 'prj_1', name: greeting.text }).execute();
        return greeting.text;
      });
    }),
  ]);
  await engine.enqueue(null, { name: 'greet', run: never }, { name: 'Ada' }, { id: 'greet:1' });
  expect(await engine.ended('greet:1')).toEqual({ kind: 'done', output: 'Good day, Ada' });
  expect(await store.db.selectFrom('project').select('name').execute()).toEqual([{ name: 'Good day, Ada' }]);
});

test('what is asked for in a transaction that rolls back was never asked for', async () => {
  const { engine, store } = await worker([durable('noop', () => Promise.resolve(null))]);
  const asked = store.transaction(async (tx) => {
    await engine.enqueue(tx, { name: 'noop', run: never }, {}, { id: 'noop:1' });
    throw new Error('no');
  });
  await expect(asked).rejects.toThrow('no');
  expect(await engine.state('noop:1')).toEqual({ kind: 'missing' });

  await store.transaction((tx) => engine.enqueue(tx, { name: 'noop', run: never }, {}, { id: 'noop:1' }));
  expect(await engine.ended('noop:1')).toEqual({ kind: 'done', output: null });
});

test('the same id asked for twice, also after the end, runs once', async () => {
  let runs = 0;
  const count = durable('count', () => step('count', () => ++runs));
  const { engine } = await worker([count]);
  for (let again = 0; again < 3; again++) {
    await engine.enqueue(null, count, undefined, { id: 'count:1' });
    await engine.ended('count:1');
  }
  expect(runs).toBe(1);
});

test('what an earlier version asked for, in the form that it wrote, is done', async () => {
  const { engine, store } = await worker([durable('double', (n: number) => step('double', () => n * 2))]);
  const client = await DBOSClient.create({ systemDatabaseUrl: engineUrl(store.url), applicationName: APPLICATION });
  onTestFinished(() => client.destroy());
  const request = { workflowName: 'double', workflowID: 'double:1', queueName: 'default', appVersion: ENGINE_VERSION };
  await client.enqueue(request, 21);
  expect(await engine.ended('double:1')).toEqual({ kind: 'done', output: 42 });
});

test('the compiler refuses a step that returns what JSON does not give back', async () => {
  // @ts-expect-error a moment is a text afterwards
  await step('now', () => ({ at: new Date() }));
  // @ts-expect-error so is every member of a Set gone
  await step('names', () => Promise.resolve([new Set(['web'])]));
});

test('a workflow asks for another within its own transaction', async () => {
  const second = durable('second', (input: number) => step('double', () => input * 2));
  const box: { engine?: Engine } = {};
  const first = durable('first', () =>
    transaction('hand over', async (tx) => box.engine?.enqueue(tx, second, 21, { id: 'second:1' })),
  );
  const { engine } = await worker([first, second]);
  box.engine = engine;
  await engine.enqueue(null, first, undefined, { id: 'first:1' });
  expect(await engine.ended('second:1')).toEqual({ kind: 'done', output: 42 });
});

test('a clock that is set back by hours stops no queue', async () => {
  const note = durable('note', (n: number) => step('note', () => n));
  const now = Date.now.bind(Date);
  let aheadMs = 5 * 3_600_000;
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + aheadMs);
  onTestFinished(() => clock.mockRestore());
  const { engine } = await worker([note]);
  for (const [n, hours] of [5, 0, -3].entries()) {
    aheadMs = hours * 3_600_000;
    await engine.enqueue(null, note, n, { id: `note:${n}` });
    expect(await engine.ended(`note:${n}`)).toEqual({ kind: 'done', output: n });
  }
});

test('a step that fails is tried again with a growing wait, and its last error is thrown with its code', async () => {
  const attempts: number[] = [];
  const moody = durable('moody', async () => {
    try {
      await step(
        'fail',
        ({ attempt }) => {
          attempts.push(attempt);
          throw new TowpathError({ code: 'registry.busy', what: 'It is busy.', fix: 'Wait.' });
        },
        { retry: { attempts: 3, firstMs: 5 } },
      );
    } catch (error) {
      return (error as TowpathError).code;
    }
    return 'no error';
  });
  const { engine } = await worker([moody]);
  await engine.enqueue(null, moody, undefined, { id: 'moody:1' });
  expect(await engine.ended('moody:1')).toEqual({ kind: 'done', output: 'registry.busy' });
  expect(attempts).toEqual([1, 2, 3]);
});

test('a workflow that the database failed for good says so', async () => {
  const failing = durable('failing', async ({ code }: { code: string }) => {
    await sql.raw(`do $$ begin raise exception 'no' using errcode = '${code}'; end $$`).execute(store.db);
  });
  const { engine, store } = await worker([failing]);
  for (const [code, problem] of [
    ['57P03', STORE_AWAY],
    ['53100', DISK_FULL],
  ] as const) {
    await engine.enqueue(null, failing, { code }, { id: code });
    expect(await engine.ended(code)).toEqual({ kind: 'failed', problem });
  }
});

test('an error that is not worth another try ends the step at once, and the workflow with its problem', async () => {
  let attempts = 0;
  const problem = { code: 'build.failed', what: 'The tests failed.', fix: 'Read the log.' };
  const doomed = durable('doomed', () =>
    step(
      'fail',
      () => {
        attempts += 1;
        throw new TowpathError(problem);
      },
      { retry: { attempts: 5, firstMs: 5, when: () => false } },
    ),
  );
  const { engine } = await worker([doomed]);
  await engine.enqueue(null, doomed, undefined, { id: 'doomed:1' });
  expect(await engine.ended('doomed:1')).toEqual({ kind: 'failed', problem });
  expect(attempts).toBe(1);
});

test('a cancel reaches the running step by its signal, and no later step begins', async () => {
  const begun = signal();
  const heard = signal();
  let later = false;
  const long = durable('long', async () => {
    await step('work', (context) => {
      begun.give();
      return new Promise<void>((_, reject) => {
        context.signal.addEventListener('abort', () => {
          heard.give();
          reject(new Error('stopped'));
        });
      });
    });
    await step('later', () => (later = true));
  });
  const { engine } = await worker([long]);
  await engine.enqueue(null, long, undefined, { id: 'long:1' });
  await begun.given;
  await engine.cancel('long:1');
  expect(await engine.state('long:1')).toEqual({ kind: 'cancelled' });
  await heard.given;
  await engine.stop();
  expect(later).toBe(false);
});

test.each([{ perPartition: 1 }, { perWorkerOfPartition: 1 }])(
  'with %o a partition runs one workflow at a time and others beside it',
  async (limits) => {
    const running = new Map<string, number>();
    let most = 0;
    const inside = durable('inside', ({ place }: { place: string }) =>
      step('stay', async () => {
        running.set(place, (running.get(place) ?? 0) + 1);
        most = Math.max(most, running.get(place) ?? 0);
        await new Promise((resolve) => setImmediate(resolve));
        running.set(place, (running.get(place) ?? 1) - 1);
      }),
    );
    const { engine } = await worker([inside], { queues: { lane: limits } });
    const ids = ['a:1', 'a:2', 'a:3', 'b:1'];
    for (const id of ids) {
      const place = id.slice(0, 1);
      await engine.enqueue(null, inside, { place }, { id, queue: 'lane', partition: place });
    }
    for (const id of ids) expect((await engine.ended(id)).kind).toBe('done');
    expect(most).toBe(1);
  },
);

test('what waited in a queue of its own kind goes on in the queue that has that kind as a partition', async () => {
  const old = durable('old', () => step('done', () => 'as before'));
  const store = await testEngineStore();
  const engine = await testEngine(store);
  await engine.enqueue(null, old, undefined, { id: 'old:1', queue: 'build' });
  const moved = (await readMigrations()).find(({ name }) => name.endsWith('queues-of-kinds.sql'));
  await sql.raw(moved?.sql ?? '').execute(store.db);
  await engine.start({ workflows: [old], queues: { heavy: { perWorkerOfPartition: 2 } } });
  expect(await engine.ended('old:1')).toEqual({ kind: 'done', output: 'as before' });
});

test('a delayed workflow waits as a row; a short pause inside one needs no row of ours', async () => {
  const sleepy = durable('sleepy', async () => {
    await pause(5);
    return 'awake';
  });
  const { engine } = await worker([sleepy]);
  await engine.enqueue(null, sleepy, undefined, { id: 'sleepy:later', delayMs: 3_600_000 });
  expect(await engine.state('sleepy:later')).toEqual({ kind: 'queued' });
  await engine.enqueue(null, sleepy, undefined, { id: 'sleepy:now' });
  expect(await engine.ended('sleepy:now')).toEqual({ kind: 'done', output: 'awake' });
});

test('outside the engine a workflow is an ordinary function, but its transactions are refused', async () => {
  const plain = durable('plain', (n: number) => step('add', () => n + 1));
  expect(await plain.run(1)).toBe(2);
  await expect(transaction('rows', () => Promise.resolve())).rejects.toMatchObject({ code: 'engine.outside' });
});

test('a worker without a limit on its history forgets what ended, and keeps what has not', async () => {
  const noop = durable('noop', () => transaction('nothing', () => Promise.resolve(null)));
  const { engine, store } = await worker([noop]);
  await engine.enqueue(null, noop, undefined, { id: 'noop:1' });
  await engine.enqueue(null, noop, undefined, { id: 'noop:2', delayMs: 3_600_000 });
  await engine.ended('noop:1');
  expect(await engine.forget(60_000)).toBe(0);
  expect(await engine.forget(0)).toBe(1);
  expect((await engine.state('noop:1')).kind).toBe('missing');
  expect((await engine.state('noop:2')).kind).toBe('queued');
  const left = await sql`select from dbos.transaction_completion`.execute(store.db);
  expect(left.rows).toEqual([]);
});

test('work of which the answer to the claim was lost is done all the same, and what is under way is left alone', async () => {
  const held = signal();
  let runs = 0;
  const hold = durable('hold', () => step('hold', () => held.given.then(() => ++runs)));
  const quick = durable('quick', () => step('quick', () => 'done'));
  const { engine, store } = await worker([hold, quick], { lookForLostMs: 50 });
  await engine.enqueue(null, hold, undefined, { id: 'hold:1' });
  await expect.poll(() => engine.state('hold:1')).toMatchObject({ kind: 'running' });
  await store.transaction(async (tx) => {
    await engine.enqueue(tx, quick, undefined, { id: 'quick:1' });
    await sql`update dbos.workflow_status set status = 'PENDING', executor_id = ${engine.executorId}, owner_xid = 'lost'
      where workflow_uuid = 'quick:1'`.execute(tx);
  });
  expect(await engine.ended('quick:1')).toEqual({ kind: 'done', output: 'done' });
  held.give();
  expect(await engine.ended('hold:1')).toEqual({ kind: 'done', output: 1 });
});

test('work that no worker will do is named, with the reason', async () => {
  const store = await testEngineStore();
  const engine = await testEngine(store);
  await engine.enqueue(null, { name: 'any', run: never }, {}, { id: 'old:1' });
  await engine.enqueue(null, { name: 'any', run: never }, {}, { id: 'lonely:1' });
  await sql`update dbos.workflow_status set application_version = '0' where workflow_uuid = 'old:1'`.execute(store.db);
  expect(await engine.stranded(60_000)).toEqual([]);
  const stranded = await engine.stranded(0); // the oldest first: these two may be of one millisecond
  expect(stranded.toSorted((one, other) => (one.id < other.id ? -1 : 1))).toEqual([
    expect.objectContaining({ id: 'lonely:1', reason: expect.stringContaining('no worker') as string }),
    expect.objectContaining({ id: 'old:1', reason: expect.stringContaining('engine version 0') as string }),
  ]);
});

async function worker(
  workflows: readonly Durable[],
  options: Omit<WorkerOptions, 'workflows'> = {},
): Promise<{ engine: Engine; store: Store }> {
  const store = await testEngineStore();
  const engine = await testEngine(store);
  await engine.start({ workflows, queues: { default: {} }, ...options });
  return { engine, store };
}

function never(): Promise<never> {
  return Promise.reject(new Error('only its name is used'));
}

function signal(): { readonly given: Promise<void>; readonly give: () => void } {
  let give = (): void => undefined;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give };
}
