import type { DockerEngine } from '../../container/docker/engine.ts';
import { untilTrue } from '../../lib/until.ts';
import type { Address } from '../rollout.ts';
import { listNodes, listServices, listTasks, type SwarmNode, type SwarmService, type SwarmTask } from './api.ts';
import { LABEL, type Place, placeFilter } from './names.ts';

/** What a Swarm shows of a place at one moment: its services, and of each the tasks that live. */
export interface Look {
  readonly services: readonly SeenService[];
  readonly nodes: readonly SwarmNode[];
}

export interface SeenService {
  readonly of: SwarmService;
  /** As towpath.yaml calls it. */
  readonly name: string;
  readonly operation: string;
  readonly publicPort: number | null;
  readonly publish: string | null;
  readonly tasks: readonly SwarmTask[];
}

/** How long tasks may take to leave, beyond their grace. */
const LEAVING_MS = 60_000;
/** Tasks that came to their end, by themselves or by Swarm. */
const ENDED = new Set(['complete', 'shutdown', 'failed', 'rejected', 'remove', 'orphaned']);

export async function look(engine: DockerEngine, place: Place): Promise<Look> {
  return lookAt(engine, placeFilter(place));
}

/** @param labels `name=value`, by which the services are chosen */
export async function lookAt(engine: DockerEngine, labels: readonly string[]): Promise<Look> {
  const [services, tasks, nodes] = await Promise.all([
    listServices(engine, labels),
    listTasks(engine, labels),
    listNodes(engine),
  ]);
  return {
    nodes,
    services: services.map((of) => ({
      of,
      name: of.Spec.Labels[LABEL.service] ?? of.Spec.Name,
      operation: of.Spec.Labels[LABEL.operation] ?? '',
      publicPort: portOf(of),
      publish: of.Spec.Labels[LABEL.publish] ?? null,
      tasks: tasks.filter(({ ServiceID }) => ServiceID === of.ID),
    })),
  };
}

/** Whether a program may still run for this task. What a node did last that is down now, nobody knows. */
export function isAlive(task: SwarmTask, { nodes }: Look): boolean {
  if (ENDED.has(task.Status.State)) return false;
  if (task.DesiredState === 'running' || task.DesiredState === 'ready') return true;
  return nodes.some(({ ID, Status }) => ID === task.NodeID && Status.State !== 'down') && hasBegun(task);
}

/**
 * Waits until no program of services that were removed runs any more, as far as nodes answer that could tell.
 * @param labels `name=value`, by which the tasks are chosen; `isMeant` chooses among them
 */
export async function untilGone(
  engine: DockerEngine,
  labels: readonly string[],
  signal: AbortSignal,
  isMeant: (task: SwarmTask) => boolean = () => true,
): Promise<void> {
  await untilTrue(
    async () => {
      const [tasks, nodes] = await Promise.all([listTasks(engine, labels), listNodes(engine)]);
      return tasks.filter(isMeant).every((task) => !isAlive(task, { services: [], nodes }));
    },
    { everyMs: 150, timeoutMs: LEAVING_MS, signal },
  );
}

/** Running, and meant to go on. */
export function isServing(task: SwarmTask, { nodes }: Look): boolean {
  const isUp = nodes.some(({ ID, Status }) => ID === task.NodeID && Status.State === 'ready');
  return isUp && task.Status.State === 'running' && task.DesiredState === 'running';
}

export function operationOf(task: SwarmTask): string {
  return task.Spec.ContainerSpec.Labels[LABEL.operation] ?? '';
}

/** Where a task is reached behind the local proxy: the port that its node chose, there. */
export function addressOf(task: SwarmTask, { nodes }: Look): Address | null {
  const port = task.Status.PortStatus?.Ports.find(({ PublishedPort }) => PublishedPort !== undefined)?.PublishedPort;
  const node = nodes.find(({ ID }) => ID === task.NodeID);
  const host = node === undefined ? null : nodeAddress(node);
  return port === undefined || host === null ? null : { host, port };
}

/** By which address others reach a node. A manager may not know its own, and then names it as a manager. */
export function nodeAddress({ Status, ManagerStatus }: SwarmNode): string | null {
  const manager = ManagerStatus?.Addr?.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  const seen = Status.Addr;
  const isOwn = seen === undefined || ['', '0.0.0.0', '::', '127.0.0.1'].includes(seen);
  return (isOwn ? manager : seen) ?? seen ?? null;
}

function hasBegun({ Status }: SwarmTask): boolean {
  return ['preparing', 'ready', 'starting', 'running'].includes(Status.State);
}

function portOf({ Spec }: SwarmService): number | null {
  const port = Number(Spec.Labels[LABEL.publicPort]);
  return Number.isInteger(port) && port > 0 ? port : null;
}
