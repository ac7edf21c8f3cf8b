import { hasCode } from '../../lib/error.ts';
import { untilTrue } from '../../lib/until.ts';
import { look } from './look.ts';
import { isData, keyOf, refOf } from './manifest.ts';
import { applyObject, removeObjects } from './objects.ts';
import { claim, noteApplied } from './record.ts';
import type { Rollout } from './rollout.ts';

const SETTLE_MS = 120_000;

/**
 * After a rollout that failed or was called off: what ran before is given to the cluster again, and what was new is removed. A newer
 * hand is left alone. @returns false when it could not be done
 */
export async function putBack(rollout: Omit<Rollout, 'manifests'>): Promise<boolean> {
  const { cluster, place, desired, context } = rollout;
  const { token, log, signal } = context;
  try {
    const { applied, known, begun } = await claim(cluster.kubernetes, place, token);
    if (begun === null) return true; // nothing was given to the cluster since the last one that succeeded
    if (applied?.operation === desired.operation) return true; // it stands already, and was only looked after
    const before = applied?.manifests ?? [];
    for (const manifest of before) await applyObject(cluster, place, manifest, { token, conflicts: 'take', log });
    const keys = new Set(before.map((manifest) => keyOf(refOf(manifest))));
    const left = known.filter((ref) => !keys.has(keyOf(ref)));
    const data = left.filter(isData);
    await removeObjects(
      cluster,
      place,
      left.filter((ref) => !data.includes(ref)),
      { token, log },
    );
    // whoever calls a deployment off has the next one in hand: that replaces what still moves
    if (!signal.aborted) await settled(rollout, applied?.operation);
    await noteApplied(cluster.kubernetes, place, token, applied, data);
    if (applied !== null) log('what ran before is put back');
    return true;
  } catch (error) {
    return hasCode(error, 'deploy.fenced');
  }
}

/** Until nothing of ours is left, and what was there before is well again. */
async function settled(
  { cluster, place, desired, context }: Omit<Rollout, 'manifests'>,
  before: string | undefined,
): Promise<void> {
  await untilTrue(
    async () => {
      const pods = await look(cluster.kubernetes, place);
      return pods.every(
        ({ operation, isReady }) => operation !== desired.operation && (operation !== before || isReady),
      );
    },
    { everyMs: 200, timeoutMs: SETTLE_MS, signal: context.signal },
  );
}
