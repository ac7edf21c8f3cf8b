import type { DesiredService } from '../driver.ts';
import type { SwarmService, SwarmTask } from './api.ts';
import { PLAIN_HEALTH } from './health.ts';
import { isAlive, isServing, type Look, operationOf, type SeenService } from './look.ts';

type Wanted = Pick<DesiredService, 'image' | 'digest' | 'replicas' | 'health' | 'port'>;

/** How a rollout goes, by what Swarm shows. `lost`: the service is not as we left it. */
export type Verdict =
  | { readonly kind: 'done' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'failed'; readonly why: readonly string[] }
  | { readonly kind: 'lost' };

const PAUSED = new Set(['rollback_paused', 'paused']);
const AT_WORK = new Set(['updating', 'rollback_started']);
/** Ended well, by SIGKILL, by SIGTERM. */
const ASKED_TO_END = new Set([0, 137, 143]);
const BEFORE_RUNNING = new Set(['new', 'pending', 'assigned', 'accepted', 'preparing', 'ready', 'starting']);
const BROKEN = new Set(['failed', 'rejected', 'complete']);

/**
 * A rollout is done when Swarm says that its update is completed, every replica runs the digest that was asked for, and nothing of
 * before is left. That Swarm put back what ran before, which it calls completed too, is a failure.
 */
export function verdictOf(wanted: Wanted, operation: string, seen: SeenService | undefined, now: Look): Verdict {
  if (seen === undefined) return { kind: 'lost' };
  const state = seen.of.UpdateStatus?.State ?? '';
  const ours = seen.tasks.filter((task) => operationOf(task) === operation);
  const isOurs = seen.operation === operation; // then `rollback_completed` means that a later one was put back to ours
  if (PAUSED.has(state) || (state === 'rollback_completed' && !isOurs)) {
    return { kind: 'failed', why: wordsOf(ours, wanted) };
  }
  if (state === 'rollback_started') return { kind: 'waiting' };
  if (!isOurs) return { kind: 'lost' };
  // the first of its name has nothing that Swarm could put back: it would be begun again for ever
  if (isFirst(seen.of) && ours.some(({ Status }) => BROKEN.has(Status.State)))
    return { kind: 'failed', why: wordsOf(ours, wanted) };
  if (AT_WORK.has(state)) return { kind: 'waiting' };
  const image = `${wanted.image}@${wanted.digest}`;
  const running = ours.filter((task) => isServing(task, now) && task.Spec.ContainerSpec.Image === image);
  const living = seen.tasks.filter((task) => isAlive(task, now));
  return { kind: running.length === wanted.replicas && living.length === running.length ? 'done' : 'waiting' };
}

/**
 * What tasks say of why they do not run, each sentence once. Swarm ends a task that is not healthy by asking its program to end, and
 * says no more than how that ended; so one that ended so after its time for becoming healthy counts as one of those.
 */
export function wordsOf(tasks: readonly SwarmTask[], wanted: Pick<DesiredService, 'health' | 'port'>): string[] {
  const { startMs } = wanted.health ?? PLAIN_HEALTH;
  const words = tasks.flatMap(({ CreatedAt, Status: { State, Err, Timestamp, ContainerStatus } }) => {
    const exitCode = ContainerStatus?.ExitCode ?? 0;
    const livedMs = Date.parse(Timestamp ?? '') - Date.parse(CreatedAt);
    const isEnd = State === 'complete' || State === 'failed';
    if (isEnd && wanted.port !== undefined && ASKED_TO_END.has(exitCode) && livedMs >= startMs) {
      return [`Swarm ended it, for it was not healthy within ${startMs} ms`];
    }
    if (Err !== undefined && Err !== '') return [Err.replace(/\.$/, '')];
    return State === 'complete' ? [`the program ended by itself (exit code ${exitCode})`] : [];
  });
  return [...new Set(words)];
}

/**
 * The new tasks that an update waits for and that can never come to run: their node went down before they did. Swarm begins others in
 * their place, and its update waits for these ones all the same, for as long as their node is away.
 */
export function strandedTasks({ of, tasks }: SeenService, operation: string, { nodes }: Look): string[] {
  if (of.UpdateStatus?.State !== 'updating') return [];
  const down = new Set(nodes.filter(({ Status }) => Status.State === 'down').map(({ ID }) => ID));
  return tasks
    .filter((task) => operationOf(task) === operation && down.has(task.NodeID ?? ''))
    .filter(({ DesiredState, Status }) => DesiredState === 'shutdown' && BEFORE_RUNNING.has(Status.State))
    .map(({ ID }) => ID);
}

/** Whether Swarm still moves the tasks of a service. */
export function isMoving({ of }: SeenService): boolean {
  return AT_WORK.has(of.UpdateStatus?.State ?? '');
}

/** Whether Swarm gave up on a service in the middle, and left it so. */
export function isStuck({ of }: SeenService): boolean {
  return PAUSED.has(of.UpdateStatus?.State ?? '');
}

/** Whether a service was made and never changed since: there is nothing before it. */
export function isFirst({ PreviousSpec, UpdateStatus }: Pick<SwarmService, 'PreviousSpec' | 'UpdateStatus'>): boolean {
  return (PreviousSpec ?? null) === null && (UpdateStatus?.State ?? '') === '';
}
