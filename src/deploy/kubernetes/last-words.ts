import { z } from 'zod';

import { redact } from '../../secret/redact.ts';
import { look, type Pod } from './look.ts';
import type { Rollout } from './rollout.ts';
import type { Values } from './secrets.ts';

const Event = z.looseObject({
  type: z.string().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
});

const TAIL_LINES = '20';
const TAIL_BYTES = '16384';
const TOLD_PODS = 3;
const TOLD_EVENTS = 10;

/** What pods that did not come to run said last, and what the cluster says of them, without the secrets that they were given. */
export async function tellLastWords(
  { cluster, place, desired, context }: Omit<Rollout, 'manifests'>,
  values: Values,
): Promise<void> {
  if (context.signal.aborted) return;
  const secret = [...values.values()].flatMap((each) => [...each.values()]);
  const tell = (of: string, text: string): void => {
    for (const line of redact(text, secret).split('\n')) if (line.trim() !== '') context.log(`${of}: ${line}`);
  };
  const broken = (await look(cluster.kubernetes, place)).filter(
    ({ operation, isReady }) => operation === desired.operation && !isReady,
  );
  for (const pod of broken.slice(0, TOLD_PODS)) {
    for (const event of await eventsOf(cluster.kubernetes, place.namespace, pod)) tell(pod.name, event);
    for (const { name, restartCount = 0, lastState, state } of pod.containers) {
      const said = await tail(cluster.kubernetes, `/api/v1/namespaces/${place.namespace}/pods/${pod.name}/log`, {
        container: name,
        tailLines: TAIL_LINES,
        limitBytes: TAIL_BYTES,
        ...(restartCount > 0 ? { previous: 'true' } : {}),
      });
      tell(`${pod.name} ${name}`, said ?? lastState?.terminated?.message ?? state?.terminated?.message ?? '');
    }
  }
}

type Asked = Rollout['cluster']['kubernetes'];

async function eventsOf(kubernetes: Asked, namespace: string, { uid }: Pod): Promise<string[]> {
  const events = await kubernetes.list(`/api/v1/namespaces/${namespace}/events`, {
    fields: [`involvedObject.uid=${uid}`],
  });
  return (events ?? [])
    .map((event) => Event.parse(event))
    .filter(({ type }) => type !== 'Normal')
    .slice(-TOLD_EVENTS)
    .map(({ reason = '', message = '' }) => `${reason}: ${message}`);
}

/** Where the node does not answer, its pod's own last message has to do. */
async function tail(kubernetes: Asked, path: string, query: Readonly<Record<string, string>>): Promise<string | null> {
  return kubernetes.text(path, query).catch(() => null);
}
