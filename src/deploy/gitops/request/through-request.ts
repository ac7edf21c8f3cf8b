import type { BranchWriter } from '../../../git/branch-writer.ts';
import { problemOf } from '../../../lib/error.ts';
import type { LogLine } from '../../../lib/log.ts';
import type { HostAccess } from '../../../source/host-access.ts';
import type { Store } from '../../../store/database.ts';
import type { ApplyContext, Desired, Target } from '../../driver.ts';
import { targetKey } from '../../rollout.ts';
import type { GitopsConfig } from '../config.ts';
import type { WrittenImages } from '../standing.ts';
import { type KnownTarget, rememberWait } from '../target-store.ts';
import type { ManifestRepository } from '../write-request.ts';
import { askedSince } from '../write-store.ts';
import { awaitMerge } from './await-merge.ts';
import { closeRequests } from './close-requests.ts';
import { ownBranch } from './own-branch.ts';
import { requestText } from './request-text.ts';
import { type Requests, requestsAt } from './requests.ts';

export interface RequestParts {
  readonly store: Store;
  readonly writerOf: (repository: ManifestRepository) => Promise<BranchWriter>;
  readonly hosts: Pick<HostAccess, 'api'>;
  readonly lookMs?: number | undefined;
  readonly patienceMs?: number | undefined;
}

/** What opens the request of a deployment; null where it is pushed. That the host takes the token is tried before anything is written. */
export async function requestsFor(
  { hosts }: Pick<RequestParts, 'hosts'>,
  { config, target, operation }: Desired<GitopsConfig>,
  repository: ManifestRepository,
  writer: BranchWriter,
  signal: AbortSignal,
): Promise<Requests | null> {
  if (config.request === undefined) return null;
  const requests = requestsAt(hosts, repository, config.request.credential ?? null);
  const into = await writer.head(config.branch ?? null, signal);
  if (into !== null) await requests.find({ head: ownBranch(target, operation), target: into.branch }, signal);
  return requests;
}

/** Earlier requests give way to this one, which is opened and waited for. @returns the head of the branch at which it stands */
export async function throughRequest(
  { store, lookMs, patienceMs }: RequestParts,
  { config, target, operation, promotion, ...rest }: Desired<GitopsConfig>,
  {
    requests,
    writer,
    wanted,
    key,
    write,
  }: {
    readonly requests: Requests;
    readonly writer: BranchWriter;
    readonly wanted: Pick<WrittenImages, 'branch' | 'images'>;
    /** Of the write, whose first asking is when the waiting began. */
    readonly key: string;
    readonly write: () => Promise<unknown>;
  },
  { log, signal, waits }: Pick<ApplyContext, 'log' | 'signal' | 'waits'>,
): Promise<string> {
  const own = ownBranch(target, operation);
  const why =
    promotion === undefined ? 'a newer promotion takes its place' : `promotion ${promotion.number} takes its place`;
  await closeRequests({ writer, requests, log, signal }, target, wanted.branch, { except: own, why });
  const withinMs = config.request?.within ?? 0;
  const desired = { config, target, operation, ...rest, ...(promotion && { promotion }) };
  return awaitMerge({
    writer,
    requests,
    wanted,
    own,
    text: requestText(desired),
    write,
    remember: async (what) => {
      await rememberWait(store.db, targetKey(target), operation, what);
      await waits?.(what);
    },
    log,
    signal,
    withinMs,
    leftMs: withinMs - (await askedSince(store.db, key)),
    lookMs,
    patienceMs,
  });
}

/** Whoever writes there no more, or elsewhere, leaves nothing open that would be merged one day. */
export async function leaveRequests(
  { writerOf, hosts }: Pick<RequestParts, 'writerOf' | 'hosts'>,
  target: Target,
  known: KnownTarget | null,
  { log }: { readonly log: LogLine },
): Promise<void> {
  if (known === null || known.request === null) return;
  const signal = AbortSignal.timeout(LEAVE_MS);
  try {
    const requests = requestsAt(hosts, known.repository, known.request.credential);
    const branch = known.branch === '' ? null : known.branch;
    const writer = await writerOf(known.repository);
    const why = 'its environment is deployed in another way, or ended';
    await closeRequests({ writer, requests, log, signal }, target, branch, { except: null, why });
  } catch (error) {
    log(`what may be open in ${known.repository.url} could not be closed: ${problemOf(error).what}`);
  }
}

const LEAVE_MS = 30_000;
