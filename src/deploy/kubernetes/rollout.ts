import { setTimeout as wait } from 'node:timers/promises';

import type { KubernetesObject } from '../../container/kubernetes/kubernetes.ts';
import type { Clock } from '../../lib/clock.ts';
import type { ApplyContext, Desired, DesiredService } from '../driver.ts';
import { hasManifests, type KubernetesConfig } from './config.ts';
import { failed } from './deployment-error.ts';
import { digestOf, look, type Pod, runs } from './look.ts';
import { type Manifest, nameOf, refOf, ROLLED, templateOf } from './manifest.ts';
import { NOTE, type Place } from './names.ts';
import { servicesIn } from './look.ts';
import { type Cluster, pathOf } from './objects.ts';
import { lateCode, type Verdict, wordsOf, workloadVerdict } from './verdict.ts';

/** One deployment to one place. */
export interface Rollout {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly place: Place;
  readonly desired: Desired<KubernetesConfig>;
  readonly manifests: readonly Manifest[];
  readonly context: ApplyContext;
}

const LOOK_MS = 200;
/** How many bad answers of a readiness probe are too many, and the shortest time between two of them. */
const BAD_ANSWERS = 3;
const SHORTEST_MS = 1000;

/**
 * Waits until every replica of a service runs the digest that was asked for, and is well; and nothing of before runs any more.
 * @throws DeployError `deploy.unhealthy`, `deploy.exited`, `kubernetes.image-unavailable`, `.settings-missing`, `.no-node`
 */
export async function awaitService(rollout: Rollout, service: DesiredService): Promise<void> {
  const own = rollout.manifests.filter((manifest) => servicesOf(manifest).includes(service.service));
  await awaitWorkloads(rollout, own, service);
}

/** Waits for what the manifests have besides the release. */
export async function awaitRest(rollout: Rollout): Promise<void> {
  await awaitWorkloads(
    rollout,
    rollout.manifests.filter((manifest) => servicesOf(manifest).length === 0),
    null,
  );
}

async function awaitWorkloads(
  rollout: Rollout,
  manifests: readonly Manifest[],
  service: DesiredService | null,
): Promise<void> {
  const { cluster, clock, place, desired, context } = rollout;
  const rolled = manifests.filter(({ kind }) => ROLLED.has(kind));
  const deadline = clock.elapsed() + desired.config.timeoutMs;
  /** Pod -> when it was first seen to run. */
  const began = new Map<string, number>();
  for (;;) {
    context.signal.throwIfAborted();
    const pods = await look(cluster.kubernetes, place);
    const verdicts = await Promise.all(
      rolled.map(async (manifest): Promise<{ of: Manifest; verdict: Verdict; pods: readonly Pod[] }> => {
        const there = await cluster.kubernetes.get(await pathOf(cluster, place, refOf(manifest)));
        const all = there === null ? [] : podsOf(there, pods);
        const ours = all.filter(({ operation }) => operation === desired.operation);
        if (there === null) return { of: manifest, verdict: { kind: 'waiting' }, pods: ours };
        const verdict = workloadVerdict(there, ours);
        if (verdict.kind !== 'done') return { of: manifest, verdict, pods: ours };
        const isClear =
          service === null || (ours.length === all.length && ours.every((pod) => runsDigest(pod, service)));
        return { of: manifest, verdict: isClear ? verdict : { kind: 'waiting' }, pods: ours };
      }),
    );
    for (const { of, verdict } of verdicts)
      if (verdict.kind === 'failed') throw failed(verdict.code, nameOf(refOf(of)), verdict.why);
    if (verdicts.every(({ verdict }) => verdict.kind === 'done')) return;
    const [open] = verdicts.filter(({ verdict }) => verdict.kind === 'waiting');
    const now = clock.elapsed();
    const isLate = now >= deadline;
    const isUnwell = service !== null && isSick(open?.pods ?? [], service, { began, now, config: desired.config });
    if ((isLate || isUnwell) && open !== undefined) {
      const code = isUnwell ? 'deploy.unhealthy' : lateCode(open.pods);
      throw failed(code, nameOf(refOf(open.of)), wordsOf(open.pods));
    }
    await wait(LOOK_MS, undefined, { signal: context.signal });
  }
}

/** Whether a pod has run for longer than its service may take to begin, and is still not well. */
function isSick(
  pods: readonly Pod[],
  { service, health }: DesiredService,
  { began, now, config }: { began: Map<string, number>; now: number; config: KubernetesConfig },
): boolean {
  if (health === undefined || hasManifests(config)) return false; // the manifest has a probe and a deadline of its own
  const patience = health.startMs + BAD_ANSWERS * Math.max(SHORTEST_MS, health.intervalMs);
  return pods.some((pod) => {
    const isRunning = pod.containers.some(
      ({ name, state }) => runs(pod, service).includes(name) && state?.running !== undefined,
    );
    if (!isRunning || pod.isReady) return false;
    const since = began.get(pod.uid) ?? now;
    began.set(pod.uid, since);
    return now - since >= patience;
  });
}

/** A rollout that is done and runs another digest all the same was changed on its way: then its time runs out. */
function runsDigest(pod: Pod, { service, digest }: DesiredService): boolean {
  return runs(pod, service)
    .map((name) => pod.containers.find((container) => container.name === name))
    .every(
      (container) =>
        container !== undefined && (container.state?.terminated !== undefined || digestOf(container) === digest),
    );
}

/** The pods that an object makes are those that its selector chooses. */
function podsOf(object: KubernetesObject, pods: readonly Pod[]): Pod[] {
  const selector = (object['spec'] as { selector?: { matchLabels?: Record<string, string> } } | undefined)?.selector;
  const wanted = Object.entries(selector?.matchLabels ?? {});
  return pods.filter(({ labels }) => wanted.every(([name, value]) => labels[name] === value));
}

function servicesOf(manifest: Manifest): string[] {
  return Object.values(servicesIn(templateOf(manifest)?.metadata?.annotations?.[NOTE.services]));
}
