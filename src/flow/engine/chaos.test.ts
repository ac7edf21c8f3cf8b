import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import { externalPostgresUrl } from '../../../tools/test-machine/machine.ts';
import type { Store } from '../../store/database.ts';
import { followEvents, recordEvent } from '../../store/event-store.ts';
import type { StoredEvent } from '../../store/event-store.ts';
import { embeddedServer } from '../../store/testing.ts';
import { bundle, startProgram } from '../../store/testing/program.ts';
import type { Program } from '../../store/testing/program.ts';
import type { Engine } from './engine.ts';
import { testEngine, testEngineStore } from './testing.ts';

const ENVIRONMENTS = ['env_1', 'env_2', 'env_3'];
const TIMEOUT_MS = 400_000;
let program: string;

beforeAll(async () => {
  program = await bundle(fileURLToPath(new URL('testing/worker.ts', import.meta.url)));
});

describe.each([
  { name: 'the embedded Postgres', server: embeddedServer },
  { name: 'an external Postgres', server: externalPostgresUrl },
])('on $name', ({ server }) => {
  test(
    'three workers, killed again and again, do each work once and never two in one environment',
    { timeout: TIMEOUT_MS },
    async () => {
      const { store, engine, startWorker } = await house(server);
      const ids = Array.from({ length: 45 }, (_, n) => `roll:${n}`);
      for (const [n, id] of ids.entries()) await request(engine, 'roll', id, ENVIRONMENTS[n % 3] ?? '');

      const workers = await Promise.all(['a', 'b', 'c'].map((name) => startWorker(name)));
      const killed = new Set<string>();
      const coming: Promise<number>[] = [];
      const seen: StoredEvent[] = [];
      const stop = new AbortController();
      for await (const event of followEvents(store, 0, stop.signal)) {
        seen.push(event);
        const ended = count(seen, 'ended');
        if (ended === ids.length) stop.abort();
        // Each time a few more are done, the worker that has just entered a lane is killed in the midst of its work.
        if (event.kind !== 'entered' || killed.size >= 5 || ended < killed.size * 4) continue;
        const victim = workers.find(({ name }) => name === event.data['worker'] && !killed.has(name));
        if (victim === undefined) continue;
        victim.program.kill('SIGKILL');
        killed.add(victim.name);
        coming.push(startWorker(`${victim.name}+`).then((worker) => workers.push(worker)));
      }
      await Promise.all(coming);

      for (const id of ids) {
        expect(await engine.ended(id), id).toEqual({ kind: 'done', output: id });
        expect(
          seen.filter(({ subject, kind }) => subject === id && kind === 'begun'),
          id,
        ).toHaveLength(1);
        expect(
          seen.filter(({ subject, kind }) => subject === id && kind === 'ended'),
          id,
        ).toHaveLength(1);
      }
      expect(killed.size).toBe(5);
      expect(enteredTwice(seen).length).toBeGreaterThan(0);
      expect(overlaps(seen, killed)).toEqual([]);
    },
  );

  test(
    'a worker that was stopped like a sleeping laptop ends when it wakes, if its work was taken over',
    { timeout: TIMEOUT_MS },
    async () => {
      const { store, engine, startWorker } = await house(server);
      const sleeper = await startWorker('sleeper');
      await request(engine, 'hold', 'hold:1', 'env_1');
      await happened(store, 'entered', 'hold:1', 1);
      sleeper.program.kill('SIGSTOP');
      await startWorker('other');
      await happened(store, 'entered', 'hold:1', 2);
      await recordEvent(store.db, { kind: 'go', subject: 'all' });
      expect(await engine.ended('hold:1')).toMatchObject({ kind: 'done' });
      sleeper.program.kill('SIGCONT');
      expect(await sleeper.program.ended).toEqual({ code: 70, signal: null });
      expect(await happened(store, 'ended', 'hold:1', 1)).toHaveLength(1);
    },
  );
});

/** On one server: the kill suite does the same with each workflow that there is, on both. */
test(
  'killed at every boundary of its steps, a workflow ends the same, and its rows are written once',
  { timeout: TIMEOUT_MS },
  async () => {
    const { store, engine, startWorker } = await house(embeddedServer);
    const directory = await mkdtemp(join(tmpdir(), 'towpath-chaos-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const trace = join(directory, 'trace');
    const tracer = await startWorker('tracer', { TOWPATH_FAULT_TRACE: trace });
    await request(engine, 'roll', 'roll:trace', 'env_1');
    await engine.ended('roll:trace');
    await stopWorker(tracer.program);
    const boundaries = (await readFile(trace, 'utf8')).trimEnd().split('\n');
    expect(boundaries).toHaveLength(15);

    for (const [n, boundary] of boundaries.entries()) {
      const id = `roll:${n}`;
      const doomed = await startWorker(`doomed-${n}`, {
        TOWPATH_FAULT: boundary,
        TOWPATH_FAULT_ONCE: join(directory, `${n}`),
      });
      await request(engine, 'roll', id, 'env_1');
      expect(await doomed.program.ended, boundary).toEqual({ code: null, signal: 'SIGKILL' });
      const survivor = await startWorker(`survivor-${n}`);
      expect(await engine.ended(id), boundary).toEqual({ kind: 'done', output: id });
      expect(await happened(store, 'begun', id, 1), boundary).toHaveLength(1);
      expect(await happened(store, 'ended', id, 1), boundary).toHaveLength(1);
      expect(await happened(store, 'planned', id, 1), boundary).toHaveLength(boundary === 'roll:plan:done' ? 2 : 1);
      await stopWorker(survivor.program);
    }
  },
);

interface Worker {
  readonly name: string;
  readonly program: Program;
}

async function house(server: () => Promise<string>): Promise<{
  readonly store: Store;
  readonly engine: Engine;
  readonly startWorker: (name: string, env?: NodeJS.ProcessEnv) => Promise<Worker>;
}> {
  const store = await testEngineStore(await server());
  await store.db.insertInto('project').values({ id: 'prj_1', name: 'shop' }).execute();
  for (const [position, id] of ENVIRONMENTS.entries()) {
    await store.db
      .insertInto('environment')
      .values({ id, project_id: 'prj_1', name: id, slug: id, position, definition: '{}' })
      .execute();
  }
  return {
    store,
    engine: await testEngine(store),
    startWorker: async (name, env = {}) => {
      const worker = startProgram(program, [store.url, name], env);
      await worker.line((line) => line === 'ready');
      return { name, program: worker };
    },
  };
}

async function stopWorker(worker: Program): Promise<void> {
  worker.stdin.end();
  expect(await worker.ended).toEqual({ code: 0, signal: null });
}

function request(engine: Engine, workflow: string, id: string, environment: string): Promise<void> {
  const named = { name: workflow, run: () => Promise.reject(new Error('only its name is used')) };
  return engine.enqueue(null, named, { id, environment }, { id });
}

/** Waits until something was told of a subject `times` times. */
async function happened(store: Store, kind: string, subject: string, times: number): Promise<StoredEvent[]> {
  const found: StoredEvent[] = [];
  for await (const event of followEvents(store, 0, new AbortController().signal)) {
    if (event.kind === kind && event.subject === subject) found.push(event);
    if (found.length === times) break;
  }
  return (
    await store.db.selectFrom('event').selectAll().where('kind', '=', kind).where('subject', '=', subject).execute()
  ).map((row) => ({ ...row, projectId: row.project_id, data: row.data as Record<string, unknown> }));
}

function count(events: readonly StoredEvent[], kind: string): number {
  return events.filter((event) => event.kind === kind).length;
}

/** Work that was interrupted inside a lane, and done again. */
function enteredTwice(events: readonly StoredEvent[]): string[] {
  const entered = events.filter(({ kind }) => kind === 'entered').map(({ subject }) => subject);
  return entered.filter((subject, place) => entered.indexOf(subject) < place);
}

/** Entries of a lane while another, who was not killed, was still in it. */
function overlaps(events: readonly StoredEvent[], killed: ReadonlySet<string>): string[] {
  const inside = new Map<unknown, StoredEvent>();
  const found: string[] = [];
  for (const event of events) {
    const { environment } = event.data;
    if (event.kind === 'leaves' && inside.get(environment)?.subject === event.subject) inside.delete(environment);
    if (event.kind !== 'entered') continue;
    const other = inside.get(environment);
    if (other !== undefined && other.subject !== event.subject && !killed.has(String(other.data['worker']))) {
      found.push(`${event.subject} entered ${String(environment)} while ${other.subject} was inside`);
    }
    inside.set(environment, event);
  }
  return found;
}
