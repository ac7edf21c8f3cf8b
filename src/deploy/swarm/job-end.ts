import type { JobEnd } from '../driver.ts';
import type { SwarmNode, SwarmTask } from './api.ts';

/** How it stands with a job, by its task. `unborn`: no program of it ever ran. */
export type JobState =
  | { readonly kind: 'waiting' | 'running' }
  | { readonly kind: 'unborn'; readonly why: string }
  | { readonly kind: 'ended'; readonly end: JobEnd };

const LOST: JobState = { kind: 'ended', end: { kind: 'lost' } };
/** Exit codes of programs that a signal ended, which Swarm does when somebody asks it to. */
const SIGNALS = new Map([
  [137, 'SIGKILL'],
  [143, 'SIGTERM'],
]);

/**
 * What a task of a job says. Swarm gives up a task on a node that is down, and nobody knows what its program does there.
 * @param isOutOfMemory what the engine says that ran it, where it can be asked
 */
export function jobState(task: SwarmTask, nodes: readonly SwarmNode[], isOutOfMemory: boolean): JobState {
  const { State, Err, ContainerStatus } = task.Status;
  const code = ContainerStatus?.ExitCode ?? 0;
  switch (State) {
    case 'complete':
      return { kind: 'ended', end: { kind: 'exited', code } };
    case 'failed':
      if (isOutOfMemory) return { kind: 'ended', end: { kind: 'out-of-memory' } };
      if (code === 0) return { kind: 'unborn', why: sentence(Err) };
      return { kind: 'ended', end: { kind: 'exited', code } };
    case 'rejected':
      return { kind: 'unborn', why: sentence(Err) };
    case 'shutdown':
      return { kind: 'ended', end: { kind: 'killed', signal: SIGNALS.get(code) ?? 'SIGTERM' } };
    case 'orphaned':
    case 'remove':
      return LOST;
    default: {
      const isGivenUp = task.DesiredState === 'shutdown' || task.DesiredState === 'remove';
      const isDown = nodes.some(({ ID, Status }) => ID === task.NodeID && Status.State === 'down');
      if (isGivenUp && isDown) return LOST;
      return { kind: State === 'running' ? 'running' : 'waiting' };
    }
  }
}

function sentence(error: string | undefined): string {
  return error === undefined || error === '' ? 'its task gave no reason' : error.replace(/\.$/, '');
}
