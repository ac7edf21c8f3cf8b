import { setTimeout as sleep } from 'node:timers/promises';

import type { BranchWriter } from '../../../git/branch-writer.ts';
import { hasCode, problemOf } from '../../../lib/error.ts';
import { formatDuration } from '../../../lib/duration.ts';
import type { LogLine } from '../../../lib/log.ts';
import { HostError } from '../../../source/hosts/host-error.ts';
import { GitopsError } from '../gitops-error.ts';
import { digestAt, type WrittenImages } from '../standing.ts';
import type { RequestText, OpenedRequest } from './request-form.ts';
import type { Requests } from './requests.ts';

export interface Awaited {
  readonly writer: Pick<BranchWriter, 'head' | 'draft' | 'remove'>;
  readonly requests: Requests;
  /** What is to stand on the branch in the end. */
  readonly wanted: Pick<WrittenImages, 'branch' | 'images'>;
  /** The branch of its own that the change is on. */
  readonly own: string;
  readonly text: RequestText;
  /** Writes the change there anew, if it has to be. @throws GitopsError when it cannot be written any more */
  readonly write: () => Promise<unknown>;
  /** Called with what is waited for, and with null when it is over. */
  readonly remember: (what: string | null) => Promise<void>;
  readonly log: LogLine;
  readonly signal: AbortSignal;
  /** How much longer it is waited for at all. */
  readonly leftMs: number;
  readonly withinMs: number;
  readonly lookMs?: number | undefined;
  /** How long what contradicts itself must stay so until it is believed. */
  readonly patienceMs?: number | undefined;
}

const LOOK_MS = 2000;
/** It may take days, so it is looked at less and less often, up to every half minute. */
const SELDOM = 15;
const PATIENCE_MS = 20_000;
/** What is tidied up when somebody calls it off takes no longer. */
const LAST_MS = 15_000;
const PASSING = [
  'git.unreachable',
  'git.timeout',
  'git.behind',
  'git.busy',
  'host.unreachable',
  'host.busy',
  'gitops.busy',
];

/**
 * Opens the request, unless it is there, and waits until people have merged it: until the branch names the images, however they
 * came there. What the host says of it is asked for one thing only, whether it was closed.
 * @returns the head of the branch that names them
 * @throws GitopsError `gitops.request-closed`, `gitops.request-timeout`, `gitops.overwritten`; HostError that another try would not mend
 */
export async function awaitMerge(awaited: Awaited): Promise<string> {
  const { requests, log, signal, lookMs = LOOK_MS } = awaited;
  const last: Last = { request: null, target: null, head: '', told: '', mergedAt: null, quietUntil: 0 };
  const endsAt = performance.now() + awaited.leftMs;
  try {
    for (let pause = lookMs; ; pause = Math.min(pause * 1.3, lookMs * SELDOM)) {
      const stands = await look(awaited, last);
      if (stands !== null) return stands;
      if (performance.now() >= endsAt) {
        await end(awaited, last.request, 'its time is over');
        throw timedOut(awaited, last.request);
      }
      await sleep(pause, undefined, { signal });
    }
  } catch (error) {
    const why = whyUnwanted(error, signal);
    if (why !== null)
      await callOff(awaited, last, why).catch((problem: unknown) =>
        log(`the ${requests.called} could not be closed: ${problemOf(problem).what}`),
      );
    throw error;
  }
}

/** Null where it was told already, and where another goes on with this very request: who took the lane over, or the next try. */
function whyUnwanted(error: unknown, signal: AbortSignal): string | null {
  if (signal.aborted) return hasCode(signal.reason, 'lane.lost') ? null : 'the promotion was called off';
  if (hasCode(error, 'gitops.request-closed', 'gitops.request-timeout', 'gitops.overwritten')) return null;
  return error instanceof GitopsError || error instanceof HostError ? 'the promotion failed' : null;
}

interface Last {
  request: OpenedRequest | null;
  /** The branch that it is for, by its name. */
  target: string | null;
  /** Of the branch, when the change was last written upon it. */
  head: string;
  told: string;
  mergedAt: number | null;
  /** Until then the host is not asked. */
  quietUntil: number;
}

/** One look, at git first. @returns the head that names the images; null while it is to be waited for */
async function look(awaited: Awaited, last: Last): Promise<string | null> {
  const { writer, wanted, signal, log } = awaited;
  signal.throwIfAborted();
  try {
    const head = await writer.head(wanted.branch, signal);
    if (head !== null && (await namesAll(writer, head.oid, wanted))) {
      await settle(awaited, last.request);
      return head.oid;
    }
    if (head === null || head.oid !== last.head) await awaited.write();
    if (head === null) return null;
    last.head = head.oid;
    last.target = head.branch;
    if (performance.now() < last.quietUntil) return null;
    const request = await lookAtRequest(awaited, last, head.branch);
    if (request.state === 'open') return null;
    // what is read of git now is not older than that word
    const now = await writer.head(wanted.branch, signal);
    if (now !== null && (await namesAll(writer, now.oid, wanted))) {
      await settle(awaited, request);
      return now.oid;
    }
    if (request.state === 'closed') {
      await end(awaited, null, '');
      throw closed(awaited, request);
    }
    last.mergedAt ??= performance.now();
    if (performance.now() - last.mergedAt < (awaited.patienceMs ?? PATIENCE_MS)) return null;
    await end(awaited, null, '');
    throw overwritten(awaited, request);
  } catch (error) {
    signal.throwIfAborted();
    if (!hasCode(error, ...PASSING)) throw error;
    const waitMs = error instanceof HostError ? error.retryAfterMs : undefined;
    if (waitMs !== undefined) last.quietUntil = performance.now() + waitMs;
    const { what } = problemOf(error);
    if (what !== last.told) log((last.told = what));
    return null;
  }
}

/** Found by its branches, where it was opened by a server that ended before it could tell. */
async function lookAtRequest(
  { requests, own, text, signal, log, remember }: Awaited,
  last: Last,
  target: string,
): Promise<OpenedRequest> {
  const between = { head: own, target };
  const known = last.request;
  const request =
    known === null
      ? ((await requests.find(between, signal)) ?? (await requests.open(between, text, signal)))
      : await requests.look(known.number, signal);
  if (known === null) {
    const what = `${request.url} to be merged`;
    await remember(what);
    if (request.state === 'open') log(`waits for ${what} into ${target}`);
  }
  last.request = request;
  return request;
}

/** Whether a commit names all images where they are wanted. */
async function namesAll(
  writer: Pick<BranchWriter, 'draft'>,
  commit: string,
  { images }: Pick<WrittenImages, 'images'>,
): Promise<boolean> {
  const draft = await writer.draft(commit);
  for (const { place, digest } of images) if ((await digestAt(draft, place)) !== digest) return false;
  return true;
}

/** It stands, so nothing here keeps the promotion: what cannot be tidied up now is, by the next one. */
async function settle(awaited: Awaited, request: OpenedRequest | null): Promise<void> {
  try {
    await tidy(awaited, request);
  } catch (error) {
    awaited.signal.throwIfAborted();
    awaited.log(`What is left of the request is for the next promotion: ${problemOf(error).what}`);
    await awaited.remember(null);
  }
}

/** A host may see a moment later than git that it was merged; what stays open then is left by others, and is closed. */
async function tidy(awaited: Awaited, request: OpenedRequest | null): Promise<void> {
  const { requests, signal, lookMs = LOOK_MS, patienceMs = PATIENCE_MS } = awaited;
  const until = performance.now() + patienceMs;
  let now = request;
  while (now?.state === 'open') {
    now = await requests.look(now.number, signal);
    if (performance.now() >= until) return end(awaited, now, 'what it asks for stands there already');
    if (now.state === 'open') await sleep(lookMs, undefined, { signal });
  }
  await end(awaited, null, '');
}

/** It may have been opened, and the answer was not heard any more. */
async function callOff(awaited: Awaited, { request, target }: Last, why: string): Promise<void> {
  const { requests, own } = awaited;
  const signal = AbortSignal.timeout(LAST_MS);
  const found = request ?? (target === null ? null : await requests.find({ head: own, target }, signal));
  await end(awaited, found, why);
}

/** Closes it, and takes its branch away. */
async function end(
  { writer, requests, own, log, remember }: Awaited,
  request: OpenedRequest | null,
  why: string,
): Promise<void> {
  const signal = AbortSignal.timeout(LAST_MS); // the one of the promotion may have been aborted
  if (request?.state === 'open') {
    await requests.close(request, signal);
    log(`${request.url} is closed: ${why}`);
  }
  const head = await writer.head(own, signal);
  if (head !== null) await writer.remove(head, signal);
  await remember(null);
}

function closed({ requests: { called } }: Awaited, { url }: OpenedRequest): GitopsError {
  return new GitopsError({
    code: 'gitops.request-closed',
    what: `The ${called} ${url} was closed and not merged.`,
    fix: 'Read there why; promote again to open another.',
  });
}

function timedOut({ requests: { called }, withinMs }: Awaited, request: OpenedRequest | null): GitopsError {
  const what = request === null ? `A ${called} could not be opened` : `Nobody merged the ${called} ${request.url}`;
  return new GitopsError({
    code: 'gitops.request-timeout',
    what: `${what} within ${formatDuration(withinMs)}.`,
    fix: 'Promote again to open another; `request: { within: ... }` says how long it may take.',
  });
}

function overwritten({ requests: { called } }: Awaited, { url }: OpenedRequest): GitopsError {
  return new GitopsError({
    code: 'gitops.overwritten',
    what: `The ${called} ${url} was merged, but the branch does not name the images of this promotion.`,
    fix: 'Look who changed them, in the request or after it (`git log` of the file tells).',
  });
}
