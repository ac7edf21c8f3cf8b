import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import type { SwarmTask } from './api.ts';
import type { Look, SeenService } from './look.ts';
import { LABEL } from './names.ts';
import { strandedTasks, verdictOf } from './verdict.ts';

const digest = sha256(Buffer.from('new'));
const wanted = { image: 'registry/shop/web', digest, replicas: 2, port: 3000 };
const nodes: Look['nodes'] = [
  { ID: 'n1', Spec: {}, Status: { State: 'ready' } },
  { ID: 'n2', Spec: {}, Status: { State: 'down' } },
];

test('done is: completed by Swarm, every replica on the wanted digest, and nothing of before left', () => {
  expect(judged({ state: 'completed', tasks: [task(), task()] })).toEqual({ kind: 'done' });
  expect(judged({ state: 'updating', tasks: [task(), task()] })).toEqual({ kind: 'waiting' });
  expect(judged({ state: 'completed', tasks: [task()] })).toEqual({ kind: 'waiting' });
  const leaving = task({ operation: 'old', desired: 'shutdown' });
  expect(judged({ state: 'completed', tasks: [task(), task(), leaving] })).toEqual({ kind: 'waiting' });
  const other = task({ image: `registry/shop/web@${sha256(Buffer.from('other'))}` });
  expect(judged({ state: 'completed', tasks: [task(), other] })).toEqual({ kind: 'waiting' });
});

test('what ran last on a node that is down keeps nobody waiting, and does not count as running', () => {
  const lost = task({ operation: 'old', desired: 'shutdown', node: 'n2' });
  expect(judged({ state: 'completed', tasks: [task(), task(), lost] })).toEqual({ kind: 'done' });
  expect(judged({ state: 'completed', tasks: [task(), task({ node: 'n2' })] })).toEqual({ kind: 'waiting' });
});

test('rolled back is a failure with the words of the tasks, though Swarm calls it completed', () => {
  const broken = task({ state: 'failed', desired: 'shutdown', err: 'task: non-zero exit (3)' });
  const old = task({ operation: 'old' });
  expect(judged({ state: 'rollback_completed', operation: 'old', tasks: [broken, broken, old, old] })).toEqual({
    kind: 'failed',
    why: ['task: non-zero exit (3)'],
  });
  expect(judged({ state: 'rollback_started', operation: 'old', tasks: [broken, old] })).toEqual({ kind: 'waiting' });
  for (const state of ['paused', 'rollback_paused'])
    expect(judged({ state, tasks: [] })).toMatchObject({ kind: 'failed' });
});

test('one to which a later one was put back is as good as completed', () => {
  expect(judged({ state: 'rollback_completed', isNew: true, tasks: [task(), task()] })).toEqual({ kind: 'done' });
  const broken = task({ state: 'failed', desired: 'shutdown' });
  expect(judged({ state: 'rollback_completed', isNew: true, tasks: [broken, task()] })).toEqual({ kind: 'waiting' });
});

test('one that nobody could put back fails with its first task that ended', () => {
  const broken = task({ state: 'rejected', err: 'No such image: registry/shop/web.' });
  expect(judged({ isNew: true, tasks: [broken, task()] })).toEqual({
    kind: 'failed',
    why: ['No such image: registry/shop/web'],
  });
});

test('a service that is gone, or that somebody else changed, is lost', () => {
  expect(verdictOf(wanted, 'new', undefined, { services: [], nodes })).toEqual({ kind: 'lost' });
  expect(judged({ state: 'completed', operation: 'of another', tasks: [] })).toEqual({ kind: 'lost' });
});

test('whatever Swarm shows, it is done only when all of it is right', () => {
  const states = ['', 'updating', 'completed', 'paused', 'rollback_started', 'rollback_paused', 'rollback_completed'];
  const anyTask = fc.record({
    state: fc.constantFrom('new', 'pending', 'preparing', 'starting', 'running', 'failed', 'rejected', 'shutdown'),
    desired: fc.constantFrom('ready', 'running', 'shutdown', 'remove'),
    operation: fc.constantFrom('new', 'old'),
    node: fc.constantFrom('n1', 'n2'),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...states),
      fc.array(anyTask, { maxLength: 5 }),
      fc.boolean(),
      (state, parts, isNew) => {
        const tasks = parts.map(task);
        if (judged({ state, tasks, isNew }).kind !== 'done') return;
        expect(['', 'completed', 'rollback_completed']).toContain(state);
        const serving = parts.filter(
          (each) => each.state === 'running' && each.desired === 'running' && each.node === 'n1',
        );
        expect(serving.map(({ operation }) => operation)).toEqual(['new', 'new']);
      },
    ),
  );
});

test('an update is stranded by new tasks whose node went down before they ran, and by no other', () => {
  const stranded = task({ state: 'preparing', desired: 'shutdown', node: 'n2' });
  const others = [
    task({ state: 'preparing', desired: 'shutdown' }),
    task({ state: 'preparing', node: 'n2' }), // Swarm will begin another one a moment later
    task({ state: 'running', desired: 'shutdown', node: 'n2' }),
    task({ state: 'failed', desired: 'shutdown', node: 'n2' }),
    task({ state: 'starting', desired: 'shutdown', node: 'n2', operation: 'old' }),
  ];
  const now = { services: [], nodes };
  const seen = seenOf({ state: 'updating', tasks: [stranded, ...others] });
  expect(strandedTasks(seen, 'new', now)).toEqual([stranded.ID]);
  expect(strandedTasks(seenOf({ state: 'completed', tasks: [stranded] }), 'new', now)).toEqual([]);
});

interface Part {
  readonly state?: string;
  readonly operation?: string;
  readonly isNew?: boolean;
  readonly tasks: readonly SwarmTask[];
}

function judged(part: Part) {
  const seen = seenOf(part);
  return verdictOf(wanted, 'new', seen, { services: [seen], nodes });
}

function seenOf(part: Part): SeenService {
  const { state = '', operation = 'new', isNew = false, tasks } = part;
  const spec = { Name: 'web', Labels: {} };
  const of: SeenService['of'] = {
    ID: 's1',
    Version: { Index: 1 },
    Spec: spec,
    ...(isNew ? {} : { PreviousSpec: spec }),
    ...(state === '' ? {} : { UpdateStatus: { State: state } }),
  };
  return { of, name: 'web', operation, publicPort: null, publish: null, tasks };
}

let tasks = 0;

function task(
  part: { state?: string; desired?: string; operation?: string; node?: string; image?: string; err?: string } = {},
): SwarmTask {
  const { state = 'running', desired = 'running', operation = 'new', node = 'n1', err } = part;
  const Image = part.image ?? `registry/shop/web@${digest}`;
  return {
    ID: `t${(tasks += 1)}`,
    ServiceID: 's1',
    NodeID: node,
    CreatedAt: '2026-01-01T00:00:00Z',
    DesiredState: desired,
    Status: { State: state, Timestamp: '2026-01-01T00:00:01Z', ...(err === undefined ? {} : { Err: err }) },
    Spec: { ContainerSpec: { Image, Labels: { [LABEL.operation]: operation } } },
  };
}
