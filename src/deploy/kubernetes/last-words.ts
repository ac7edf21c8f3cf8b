import { z } from 'zod';

import { redact } from '../../secret/redact.ts';
import type { ApplyContext } from '../driver.ts';
import { type ContainerStatus, look, type Pod, runs } from './look.ts';
import type { Rollout } from './rollout.ts';
import type { Values } from './secrets.ts';

const Event = z.looseObject({
  type: z.string().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
});

const LAST = { lines: 20, bytes: 16 * 1024 };
const ALL_OF_A_JOB = { lines: 1000, bytes: 1024 * 1024 };
const TOLD_PODS = 3;
const TOLD_EVENTS = 10;
/** What ran before is put back after it. */
const TOLD_WITHIN_MS = 15_000;

/**
 * What pods that did not come to run said last, and what the cluster says of them, without the secrets that they were given. Of a
 * node that does not answer nothing is waited for long.
 */
export async function tellLastWords(
  { cluster, place, desired, context }: Omit<Rollout, 'manifests'>,
  values: Values,
): Promise<void> {
  const within = { signal: AbortSignal.any([context.signal, AbortSignal.timeout(TOLD_WITHIN_MS)]) };
  const tell = (of: string, text: string): void => {
    for (const line of linesOf(text, values)) context.log(`${of}: ${line}`);
  };
  within.signal.throwIfAborted();
  const broken = (await look(cluster.kubernetes, place)).filter(
    ({ operation, isReady }) => operation === desired.operation && !isReady,
  );
  for (const pod of broken.slice(0, TOLD_PODS)) {
    for (const event of await eventsOf(cluster.kubernetes, place.namespace, pod.uid, within)) tell(pod.name, event);
    for (const container of pod.containers) {
      within.signal.throwIfAborted();
      const said = await saidBy(cluster.kubernetes, place.namespace, { pod, container, ...LAST, ...within });
      tell(`${pod.name} ${container.name}`, said);
    }
  }
}

/** A Job that was looked at, and its pods. */
export interface SeenJob {
  readonly service: string;
  readonly uid: string;
  readonly pods: readonly Pod[];
  readonly isGood: boolean;
}

/** What the program of a Job printed; and what the cluster says of one that did not end well. Without the secrets that it was given. */
export async function tellJob(
  { cluster, place, context }: Pick<Rollout, 'cluster' | 'place'> & { readonly context: Pick<ApplyContext, 'log'> },
  { service, uid, pods, isGood }: SeenJob,
  values: Values,
): Promise<void> {
  const { kubernetes } = cluster;
  const tell = (text: string): void => {
    for (const line of linesOf(text, values)) context.log(line);
  };
  for (const pod of pods)
    for (const container of pod.containers.filter(({ name }) => runs(pod, service).includes(name)))
      tell(await saidBy(kubernetes, place.namespace, { pod, container, ...ALL_OF_A_JOB }));
  if (isGood) return;
  for (const of of [uid, ...pods.map((pod) => pod.uid)])
    for (const event of await eventsOf(kubernetes, place.namespace, of)) tell(event);
}

function linesOf(text: string, values: Values): string[] {
  const secret = [...values.values()].flatMap((each) => [...each.values()]);
  return redact(text, secret)
    .split('\n')
    .filter((line) => line.trim() !== '');
}

type Asked = Rollout['cluster']['kubernetes'];

interface Within {
  readonly signal?: AbortSignal;
}

async function eventsOf(kubernetes: Asked, namespace: string, uid: string, within: Within = {}): Promise<string[]> {
  const events = await kubernetes.list(`/api/v1/namespaces/${namespace}/events`, {
    fields: [`involvedObject.uid=${uid}`],
    ...within,
  });
  return (events ?? [])
    .map((event) => Event.parse(event))
    .filter(({ type }) => type !== 'Normal')
    .slice(-TOLD_EVENTS)
    .map(({ reason = '', message = '' }) => `${reason}: ${message}`);
}

interface Speaker extends Within {
  readonly pod: Pod;
  readonly container: ContainerStatus;
  readonly lines: number;
  readonly bytes: number;
}

/** Where the node does not answer, its pod's own last message has to do. */
async function saidBy(
  kubernetes: Asked,
  namespace: string,
  { pod, container, lines, bytes, ...within }: Speaker,
): Promise<string> {
  const { name, restartCount = 0, lastState, state } = container;
  const query = {
    container: name,
    tailLines: String(lines),
    limitBytes: String(bytes),
    ...(restartCount > 0 ? { previous: 'true' } : {}),
  };
  const path = `/api/v1/namespaces/${namespace}/pods/${pod.name}/log`;
  const said = await kubernetes.text(path, query, within).catch(() => null);
  return said ?? lastState?.terminated?.message ?? state?.terminated?.message ?? '';
}
