import { describe, expect, test } from 'vitest';

import type { SwarmNode, SwarmTask } from './api.ts';
import { jobState } from './job-end.ts';

const up: SwarmNode = { ID: 'one', Spec: {}, Status: { State: 'ready' } };
const down: SwarmNode = { ...up, Status: { State: 'down' } };

const task = (
  state: string,
  { code, error, desired = 'running' }: { code?: number; error?: string; desired?: string } = {},
): SwarmTask => ({
  ID: 'task',
  ServiceID: 'service',
  NodeID: 'one',
  CreatedAt: '2026-01-01T00:00:00Z',
  DesiredState: desired,
  Status: {
    State: state,
    ...(error === undefined ? {} : { Err: error }),
    ...(code === undefined ? {} : { ContainerStatus: { ExitCode: code } }),
  },
  Spec: { ContainerSpec: { Image: 'shop/web', Labels: {} } },
});

describe('how it stands with a job of a Swarm', () => {
  test('its exit code is its end, whatever Swarm calls it', () => {
    expect(jobState(task('complete', { code: 0 }), [up], false)).toEqual({
      kind: 'ended',
      end: { kind: 'exited', code: 0 },
    });
    expect(jobState(task('failed', { code: 3 }), [up], false)).toEqual({
      kind: 'ended',
      end: { kind: 'exited', code: 3 },
    });
  });

  test('one that was killed for its memory, or because somebody asked, says so', () => {
    expect(jobState(task('failed', { code: 137 }), [up], true)).toMatchObject({ end: { kind: 'out-of-memory' } });
    expect(jobState(task('shutdown', { code: 137 }), [up], false)).toMatchObject({
      end: { kind: 'killed', signal: 'SIGKILL' },
    });
  });

  test('what never began is no end of a program', () => {
    expect(jobState(task('rejected', { error: 'No such image: shop/web.' }), [up], false)).toEqual({
      kind: 'unborn',
      why: 'No such image: shop/web',
    });
    expect(jobState(task('failed', { error: 'starting container failed' }), [up], false).kind).toBe('unborn');
  });

  test('on a node that went down it is lost once Swarm gives it up, and not before', () => {
    expect(jobState(task('running'), [down], false)).toEqual({ kind: 'running' });
    expect(jobState(task('running', { desired: 'shutdown' }), [down], false)).toMatchObject({ end: { kind: 'lost' } });
    expect(jobState(task('orphaned'), [down], false)).toMatchObject({ end: { kind: 'lost' } });
  });

  test('until a node runs it, it is waited for', () => {
    for (const state of ['new', 'pending', 'assigned', 'preparing', 'starting'])
      expect(jobState(task(state), [up], false)).toEqual({ kind: 'waiting' });
  });
});
