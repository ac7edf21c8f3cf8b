import { randomBytes } from 'node:crypto';
import { rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import { hasCode } from '../lib/error.ts';
import { type Draft, createDraft } from './draft.ts';
import { fetchUpon } from './fetch-upon.ts';
import { createFreshObjects } from './fresh-objects.ts';
import { git } from './git.ts';
import { GitError } from './git-error.ts';
import { createHistory } from './history.ts';
import { listRefs } from './ls-refs.ts';
import { exists, mirrorFolder } from './mirror-folder.ts';
import { type MirrorOptions, openMirror } from './mirror.ts';
import { isNear } from './near-history.ts';
import type { GitObject, ObjectReader } from './object-reader.ts';
import { formatOf, storePack } from './pack.ts';
import { openPen, sweepPens } from './pen.ts';
import { createPush, NO_REASON } from './push.ts';
import { BRANCH_PREFIX, isRefName } from './ref.ts';
import { parseRemoteUrl } from './remote.ts';
import { createRests } from './rests.ts';
import type { RefChange } from './send-pack.ts';
import { unpack } from './unpack.ts';

/** Of what somebody committed upon ours. */
const MOST_UPON_BYTES = 16 * 1024 * 1024;

/** So long hooks of pushes are waited for at the end. */
const REST_MS = 5_000;

/** How a push ended, by where the branch is afterwards: what servers say differs, and is for people only. */
export type Pushed =
  | { readonly kind: 'pushed' }
  /** Somebody else was faster: derive the commits anew on this head. */
  | { readonly kind: 'moved'; readonly head: string }
  | { readonly kind: 'gone' }
  /** The branch is where it was, and the server does not take this. */
  | { readonly kind: 'refused'; readonly said: string };

export interface BranchHead {
  readonly branch: string;
  readonly oid: string;
}

/** Writes commits on branches of one repository, without a work tree. One at a time per branch is the caller's care. */
export interface BranchWriter {
  /** Where the branch is on the server, with its history here; null when there is none. The default branch where none is named. */
  head(branch: string | null, signal?: AbortSignal): Promise<BranchHead | null>;
  /** Branches whose names begin so, with where they are on the server. */
  beginning(prefix: string, signal?: AbortSignal): Promise<readonly BranchHead[]>;
  draft(base: string, signal?: AbortSignal): Promise<Draft>;
  /** @param was where the branch is to be until then, null where it is to be made; what the draft was built upon, where it is not said */
  push(branch: string, draft: Draft, signal?: AbortSignal, was?: string | null): Promise<Pushed>;
  /** Takes a branch away, unless it is elsewhere by now. One that is gone is gone. */
  remove(head: BranchHead, signal?: AbortSignal): Promise<void>;
  /** Of commits that are here; an id that is unknown is nobody's ancestor. */
  isAncestor(ancestor: string, descendant: string): Promise<boolean>;
  /** Brings what files hold, of a commit that is here, in one request. */
  prefetch(oids: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Objects of ours go into a repository of this process alone, the pen, that borrows those of the mirror: nothing of ours is in the
 * mirror before the server has it, and what a kill leaves is a folder that the next one sweeps.
 * @throws GitError `git.url-refused`
 */
export async function openBranchWriter(
  options: MirrorOptions,
  {
    packsBeforeTidying = 200,
    mostFreshBytes,
    lookMs = 30,
  }: { readonly packsBeforeTidying?: number; readonly mostFreshBytes?: number; readonly lookMs?: number } = {},
): Promise<BranchWriter> {
  const isHttp = parseRemoteUrl(options.url, options.allow).scheme.startsWith('http');
  const mirror = await openMirror(options);
  const pens = join(options.directory, 'pens');
  const store = mirrorFolder(options.directory).store;
  await sweepPens(pens);
  const gitDir = join(pens, `${process.pid}-${randomBytes(6).toString('hex')}.git`);
  const fresh = createFreshObjects(mostFreshBytes);
  let opened: Promise<ObjectReader> | undefined;
  const rests = createRests();
  const way = createPush(options, gitDir, (rest) => rests.add(rest));
  /** A commit that the server has and that is at hand. */
  let newest: string | undefined;
  /** How many the pen got since it was tidied. */
  let packs = 0;
  let fetching: Promise<void> | undefined;

  const pen = (oid: string): Promise<ObjectReader> => (opened ??= openPen(gitDir, store, formatOf(oid)));

  const keepPack = async (pack: Buffer): Promise<void> => {
    await storePack(gitDir, pack);
    packs += 1;
  };

  /** A host of several servers may show one that does not have our last push yet. */
  const fetchAll = (signal?: AbortSignal): Promise<void> =>
    fresh.forgetBy(async () => {
      await mirror.fetch(signal);
      return newest === undefined || isOnDisk(newest);
    });

  /** For all who miss something at one moment. */
  const fetchMissing = (): Promise<void> => (fetching ??= fetchAll().finally(() => (fetching = undefined)));

  const object = async (oid: string, maxBytes?: number): Promise<GitObject> => {
    const known = fresh.get(oid);
    if (known !== undefined) return known;
    const reader = await pen(oid);
    const found = await reader.read(oid, maxBytes);
    if (found !== null) return found;
    if (fresh.areIncomplete()) {
      await fetchMissing();
      const fetched = await reader.read(oid, maxBytes);
      if (fetched !== null) return fetched;
    }
    return { type: 'blob', bytes: await mirror.read(oid, maxBytes) }; // of a blobless mirror, only blobs are missing
  };

  /** Somebody else's commit is mostly one upon ours. @returns whether it is here now */
  const bringUpon = async (oid: string, signal: AbortSignal | undefined): Promise<boolean> => {
    if (newest === undefined || !fresh.has(newest)) return false;
    try {
      const pack = await fetchUpon(options, formatOf(oid), { want: oid, have: newest }, signal);
      const objects = pack === null ? null : await unpack(pack, formatOf(oid), atHand, MOST_UPON_BYTES);
      if (objects?.has(oid) !== true) return false;
      fresh.add(objects);
      return fresh.has(oid);
    } catch (error) {
      if (hasCode(error, 'git.busy', 'git.denied', 'git.cancelled')) throw error; // git would hear the same
      return false;
    }
  };

  const bring = async (oid: string, signal: AbortSignal | undefined): Promise<void> => {
    if (fresh.has(oid) || (opened !== undefined && (await (await opened).has(oid)))) return;
    if (await bringUpon(oid, signal)) return;
    await mirror.ensure(oid, signal);
    await pen(oid);
  };

  const isOnDisk = async (oid: string): Promise<boolean> => (await pen(oid)).has(oid);

  /** For git, which sees what is on the disk alone. */
  const bringToDisk = async (oids: readonly string[], signal?: AbortSignal): Promise<boolean> => {
    const areThere = async (): Promise<boolean> => (await Promise.all(oids.map(isOnDisk))).every(Boolean);
    if (await areThere()) return true;
    if (!oids.some((oid) => fresh.has(oid)) && !fresh.areIncomplete()) return false;
    await fetchAll(signal);
    return areThere();
  };

  const atHand = async (oid: string): Promise<GitObject | null> => fresh.get(oid) ?? (await pen(oid)).read(oid);

  /** @param upon as of `isNear` */
  const isAncestor = async (ancestor: string, descendant: string, upon?: string): Promise<boolean> =>
    (await isNear(ancestor, descendant, atHand, upon)) ??
    ((await bringToDisk([ancestor, descendant])) && createHistory(gitDir).isAncestor(ancestor, descendant));

  const head: BranchWriter['head'] = async (branch, signal) => {
    await tidy(signal);
    const found = await look(branch, signal);
    if (found !== null) await bring(found.oid, signal);
    return found;
  };

  const look = async (branch: string | null, signal: AbortSignal | undefined): Promise<BranchHead | null> => {
    const only = branch === null ? undefined : `${BRANCH_PREFIX}${branch}`;
    if (only !== undefined && !isRefName(only)) return null;
    const listing = await listRefs(options, { signal, only });
    if (listing.kind === 'unchanged') return null; // it never is, of nothing known
    const found = listing.refs.find(({ name }) => name === (only ?? listing.defaultBranch));
    return found === undefined ? null : { branch: found.name.slice(BRANCH_PREFIX.length), oid: found.oid };
  };

  const isUpon = async (
    { was, to }: Pick<RefChange, 'was' | 'to'>,
    oid: string,
    signal: AbortSignal,
  ): Promise<boolean> => {
    if (was === null || oid === to) return true;
    await bring(oid, signal);
    return (await isNear(was, oid, atHand)) === true;
  };

  /**
   * Looks while a push is under way, less and less often: a server goes through all of it before it says that somebody was faster,
   * and by then the next could be half-way. Ends when the branch has gone on, or with what comes of the push: what does not stand
   * upon where it was may be the sight of a server that is behind another.
   */
  const lookBeside = async (
    sending: Promise<Outcome>,
    branch: string,
    change: Pick<RefChange, 'was' | 'to'>,
    signal: AbortSignal,
  ): Promise<Outcome> => {
    const began = performance.now();
    try {
      for (let at = lookMs; ; at *= 3) {
        await wait(began + at - performance.now(), undefined, { signal });
        const head = await look(branch, signal);
        if (head !== null && head.oid !== change.was && (await isUpon(change, head.oid, signal)))
          return { kind: 'seen', head };
      }
    } catch {
      return sending; // it is over; or it hears itself what is the matter
    }
  };

  /** What the mirror has by now leaves the pen, and a pen that was swept while nobody wrote is made anew. */
  const tidy = async (signal: AbortSignal | undefined): Promise<void> => {
    if (opened === undefined) return;
    if (!(await exists(join(gitDir, 'HEAD')))) {
      (await opened).close();
      opened = undefined;
      await fetchAll(signal);
    } else if (packs >= packsBeforeTidying) {
      packs = 0;
      await fetchAll(signal);
      await git(['repack', '-a', '-d', '-k', '-l', '-q'], { gitDir, directories: [gitDir, store] });
    }
  };

  const sendDraft = async (
    change: RefChange,
    draft: Draft,
    signal: AbortSignal | undefined,
  ): Promise<string | null> => {
    const pack = await draft.pack();
    const direct = pack === null ? null : await way.direct(change.to);
    if (pack !== null && direct !== null) {
      await utimes(gitDir, new Date(), new Date()); // what is in use is not swept
      await rests.room();
      try {
        return await direct(change, pack, signal);
      } catch (error) {
        if (!hasCode(error, 'git.pack-refused')) throw error; // whole objects then; and if it is something else, git hears what
      }
    }
    await bringToDisk([draft.base], signal);
    await draft.settle();
    return way.byGit(change, signal);
  };

  /** Whether a commit of the server has all of a draft. */
  const holds = async (oid: string, draft: Draft, signal: AbortSignal | undefined): Promise<boolean> => {
    if (oid === draft.tip()) return true;
    await bring(oid, signal);
    return isAncestor(draft.tip(), oid, draft.base);
  };

  /**
   * Whether the sight of a branch after a push is that of a server behind the one that was pushed to: it shows where the branch was,
   * though that one said otherwise, or a commit below it. Where that one says the same, the branch was set back.
   */
  const isBehind = async (now: string, was: string | null, told: string | undefined): Promise<boolean> =>
    was !== null && (now === was ? told !== undefined : (await isNear(now, was, atHand)) === true);

  /** What the server took is here as well, for who builds upon it. */
  const took = (draft: Draft): Pushed => {
    fresh.add(draft.objects());
    newest = draft.tip();
    return { kind: 'pushed' };
  };

  return {
    head,
    isAncestor,
    draft: async (base, signal) => {
      await tidy(signal);
      await bring(base, signal);
      return createDraft({ base, object, keepPack });
    },
    beginning: async (prefix, signal) => {
      const listing = await listRefs(options, { signal });
      if (listing.kind === 'unchanged') return []; // it never is, of nothing known
      return listing.refs
        .filter(({ name }) => name.startsWith(`${BRANCH_PREFIX}${prefix}`))
        .map(({ name, oid }) => ({ branch: name.slice(BRANCH_PREFIX.length), oid }));
    },
    push: async (branch, draft, signal, was = draft.base) => {
      const change = { ref: refOf(branch), was, to: draft.tip() };
      const [lost, over] = [new AbortController(), new AbortController()];
      const within = ({ signal: own }: AbortController): AbortSignal =>
        signal === undefined ? own : AbortSignal.any([signal, own]);
      const sending = outcomeOf(sendDraft(change, draft, within(lost)));
      const outcome = await (isHttp
        ? Promise.race([sending, lookBeside(sending, branch, change, within(over))])
        : sending); // to look would take as long
      over.abort();
      if (outcome.kind === 'done') return took(draft);
      signal?.throwIfAborted();
      const told = outcome.kind === 'refused' && was !== null ? elsewhereIn(outcome.said, was) : undefined;
      const brought = told === undefined ? undefined : bringUpon(told, signal).catch(() => undefined);
      const now = outcome.kind === 'seen' ? outcome.head : await look(branch, signal);
      await brought;
      if (now === null && was !== null) return { kind: 'gone' };
      if (now !== null && (await holds(now.oid, draft, signal))) return took(draft); // the answer is late, or was lost
      lost.abort();
      if (outcome.kind !== 'seen' && now !== null && told !== now.oid && (await isBehind(now.oid, was, told)))
        throw outcome.kind === 'failed' ? outcome.error : behind();
      if (now !== null && now.oid !== was) return { kind: 'moved', head: now.oid };
      if (outcome.kind === 'failed') throw outcome.error;
      return { kind: 'refused', said: outcome.kind === 'refused' ? outcome.said : NO_REASON };
    },
    remove: async ({ branch, oid }, signal) => {
      await pen(oid);
      await way.byGit({ ref: refOf(branch), was: oid, to: null }, signal);
    },
    prefetch: async (oids) => {
      const here = await Promise.all(oids.map(async (oid) => fresh.has(oid) || isOnDisk(oid)));
      await mirror.prefetch(oids.filter((_oid, index) => here[index] === false));
    },
    close: async () => {
      await rests.over(REST_MS);
      mirror.close();
      const reader = await opened?.catch(() => undefined);
      reader?.close();
      await rm(gitDir, { recursive: true, force: true });
    },
  };
}

/** @throws GitError `git.object-missing` */
function refOf(branch: string): string {
  const ref = `${BRANCH_PREFIX}${branch}`;
  if (!isRefName(ref)) throw noBranchName();
  return ref;
}

/** What comes first of a push: its end, or the sight of the branch elsewhere. */
type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly said: string }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'seen'; readonly head: BranchHead };

function outcomeOf(sending: Promise<string | null>): Promise<Outcome> {
  return sending.then(
    (said) => (said === null ? { kind: 'done' } : { kind: 'refused', said }),
    (error: unknown) => ({ kind: 'failed', error }),
  );
}

function behind(): GitError {
  return new GitError({
    code: 'git.behind',
    what: 'The git host says of a branch here that it is at one commit and there at another.',
    fix: 'Towpath tries again by itself, until its servers agree.',
  });
}

/** Where a branch is that is not where it was expected, in the words of git: what to fetch while it is asked for. */
function elsewhereIn(said: string, was: string): string | undefined {
  const [, oid, expected] = /\bis at ([0-9a-f]{40,64}) but expected ([0-9a-f]{40,64})\b/.exec(said) ?? [];
  return expected === was ? oid : undefined;
}

function noBranchName(): GitError {
  return new GitError({
    code: 'git.object-missing',
    what: 'That is not the name of a branch.',
    fix: 'Give one that `git check-ref-format --branch` takes.',
  });
}
