import type { Digest } from '../../../lib/digest.ts';
import { problemOf } from '../../../lib/error.ts';
import type { Told } from '../../driver.ts';
import type { Success } from '../success.ts';
import { lookOnce } from './follow.ts';
import type { Standing } from './sight.ts';
import { type ClusterOf, watcherName, watchOf } from './watch-of.ts';

interface Asked {
  readonly success: Success;
  readonly clusterOf: ClusterOf;
  readonly digests: readonly Digest[];
  readonly standingOf: (revision: string) => Promise<Standing>;
}

const LOOK_MS = 15_000;

/** What it tells now of what stands written; that it cannot be asked is told, too. Null where nobody is asked. */
export async function tell({ success, clusterOf, digests, standingOf }: Asked): Promise<Told | null> {
  if (success === 'commit') return null;
  const by = watcherName(success);
  try {
    const watch = await watchOf(success, clusterOf);
    if (watch === null) return null;
    const verdict = await lookOnce({ watch, digests, standingOf, signal: AbortSignal.timeout(LOOK_MS) });
    if (verdict.kind === 'good') return { by: watch.name, isGood: true, says: 'it runs there' };
    return {
      by: watch.name,
      isGood: false,
      says: verdict.kind === 'overwritten' ? `it is at ${verdict.revision.slice(0, 12)}` : verdict.what,
    };
  } catch (error) {
    return { by, isGood: false, says: `it cannot be asked: ${problemOf(error).what}` };
  }
}
