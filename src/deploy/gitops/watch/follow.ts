import { setTimeout as sleep } from 'node:timers/promises';

import type { Digest } from '../../../lib/digest.ts';
import { hasCode, problemOf } from '../../../lib/error.ts';
import type { LogLine } from '../../../lib/log.ts';
import { GitopsError } from '../gitops-error.ts';
import { type SightVerdict, type Standing, verdictOf } from './sight.ts';
import type { Watch } from './watch.ts';

export interface Asked {
  readonly watch: Watch;
  readonly digests: readonly Digest[];
  /** How a commit stands to the one that was written. */
  readonly standingOf: (revision: string) => Promise<Standing>;
  readonly signal: AbortSignal;
}

export interface Followed extends Asked {
  readonly log: LogLine;
  /** An error may be gone at the next look: of a server that restarts, a metric that is not there yet. */
  readonly patienceMs?: number | undefined;
}

const LOOK_MS = 1000;
const ASK_AGAIN_MS = 15_000;
/** Longer than until it is asked again. */
const PATIENCE_MS = 20_000;
/** What the cluster answers the same at the next try. */
const FINAL = ['kubernetes.forbidden', 'kubernetes.unauthorized', 'gitops.watch-missing', 'gitops.watch-unreadable'];

/**
 * Asks the program to look, and waits until it tells that what was written is what runs, healthy.
 * @throws GitopsError `gitops.unhealthy` in the program's words, `gitops.overwritten`; the signal's reason when it is called off
 */
export async function follow(followed: Followed): Promise<void> {
  const { watch, log, signal, patienceMs = PATIENCE_MS } = followed;
  let told = '';
  let askedAt = -Infinity;
  let badSince: number | null = null;
  for (let isOurs = false; ; await sleep(LOOK_MS, undefined, { signal })) {
    const now = performance.now();
    const isDue = !isOurs && now - askedAt >= ASK_AGAIN_MS; // at our commit another look would only begin it anew
    if (isDue) askedAt = now;
    const verdict = await askAndLook(followed, isDue);
    if (verdict.kind === 'good') return log(`${watch.name}: it runs there`);
    if (verdict.kind === 'overwritten') throw overwritten(watch, verdict.revision);
    if (verdict.what !== told) log(`${watch.name} ${(told = verdict.what)}`);
    if (verdict.kind === 'unseen') continue;
    isOurs = verdict.isOurs;
    badSince = verdict.kind === 'bad' ? (badSince ?? now) : null;
    if (badSince !== null && now - badSince >= patienceMs) throw unhealthy(watch, verdict.what);
  }
}

/** What it tells now. */
export async function lookOnce({ watch, digests, standingOf, signal }: Asked): Promise<SightVerdict> {
  const sight = await watch.look(signal);
  const standings: Standing[] = [];
  for (const revision of sight.looked ? (sight.revisions ?? []) : []) standings.push(await standingOf(revision));
  return verdictOf(sight, standings, digests);
}

/** That it does not answer is nothing that it tells. */
async function askAndLook(asked: Asked, isDue: boolean): Promise<SightVerdict> {
  const { watch, signal } = asked;
  signal.throwIfAborted();
  try {
    if (isDue) await watch.ask(signal);
    return await lookOnce(asked);
  } catch (error) {
    signal.throwIfAborted();
    if (hasCode(error, ...FINAL)) throw error;
    return { kind: 'unseen', what: `cannot be asked: ${problemOf(error).what}` };
  }
}

function unhealthy({ name }: Watch, says: string): GitopsError {
  return new GitopsError({
    code: 'gitops.unhealthy',
    what: `${name} tells that what was written does not run: ${says}.`,
    fix: 'Look at it there; what stands in the manifests besides images is theirs.',
  });
}

function overwritten({ name }: Watch, revision: string): GitopsError {
  return new GitopsError({
    code: 'gitops.overwritten',
    what: `${name} is at ${revision.slice(0, 12)}, where somebody else has written other images over those of this promotion.`,
    fix: 'Look who writes images there besides Towpath (`git log` of the file tells).',
  });
}
