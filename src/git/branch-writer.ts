import { randomBytes } from 'node:crypto';
import { rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { hasCode } from '../lib/error.ts';
import { type Draft, createDraft } from './draft.ts';
import { fetchUpon } from './fetch-upon.ts';
import { createFreshObjects } from './fresh-objects.ts';
import { git } from './git.ts';
import { cleanMessage, GitError } from './git-error.ts';
import { createHistory } from './history.ts';
import { listRefs } from './ls-refs.ts';
import { exists, mirrorFolder } from './mirror-folder.ts';
import { type MirrorOptions, openMirror } from './mirror.ts';
import { isNear } from './near-history.ts';
import type { GitObject, ObjectReader } from './object-reader.ts';
import { formatOf, storePack } from './pack.ts';
import { openPen, sweepPens } from './pen.ts';
import { BRANCH_PREFIX, isRefName } from './ref.ts';
import { parseRemoteUrl } from './remote.ts';
import { openSendPack, type SendPack } from './send-pack.ts';

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
  }: { readonly packsBeforeTidying?: number; readonly mostFreshBytes?: number } = {},
): Promise<BranchWriter> {
  const url = parseRemoteUrl(options.url, options.allow);
  const mirror = await openMirror(options);
  const pens = join(options.directory, 'pens');
  const store = mirrorFolder(options.directory).store;
  await sweepPens(pens);
  const gitDir = join(pens, `${process.pid}-${randomBytes(6).toString('hex')}.git`);
  const fresh = createFreshObjects(mostFreshBytes);
  let opened: Promise<ObjectReader> | undefined;
  let sender: Promise<SendPack | null> | undefined;
  /** What a server took from us last, which is at hand. */
  let newest: string | undefined;
  /** How many the pen got since it was tidied. */
  let packs = 0;

  const pen = (oid: string): Promise<ObjectReader> => (opened ??= openPen(gitDir, store, formatOf(oid)));

  const keepPack = async (pack: Buffer): Promise<void> => {
    await storePack(gitDir, pack);
    packs += 1;
  };

  const fetchAll = (signal?: AbortSignal): Promise<void> => fresh.forgetBy(() => mirror.fetch(signal));

  const object = async (oid: string, maxBytes?: number): Promise<GitObject> => {
    const known = fresh.get(oid);
    if (known !== undefined) return known;
    const reader = await pen(oid);
    const found = await reader.read(oid, maxBytes);
    if (found !== null) return found;
    if (fresh.areIncomplete()) {
      await fetchAll();
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
      if (pack === null) return false;
      await keepPack(pack);
      return await isOnDisk(oid);
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
    const listing = await listRefs(options, { signal });
    if (listing.kind === 'unchanged') return null; // it never is, of nothing known
    const name = branch === null ? listing.defaultBranch : `${BRANCH_PREFIX}${branch}`;
    const found = listing.refs.find((ref) => ref.name === name);
    if (found === undefined) return null;
    await bring(found.oid, signal);
    return { branch: found.name.slice(BRANCH_PREFIX.length), oid: found.oid };
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

  /** @param was where the branch is until then @returns what was said against it */
  const send = async (
    { ref, was, to }: { readonly ref: string; readonly was: string | null; readonly to: string | null },
    signal: AbortSignal | undefined,
  ): Promise<string | null> => {
    const lease = `--force-with-lease=${ref}:${was ?? ''}`;
    const { code, stderr, stdout } = await git(
      ['push', '--porcelain', '--no-verify', '--no-thin', lease, 'origin', `${to ?? ''}:${ref}`],
      {
        gitDir,
        directories: [gitDir, ...(url.scheme === 'file' ? [decodeURIComponent(new URL(url.href).pathname)] : [])],
        remote: { url, credential: await options.credential?.() },
        config: [['remote.origin.url', url.href]],
        okCodes: [0, 1],
        signal,
      },
    );
    return code === 0 ? null : saidOf(stderr, stdout.toString());
  };

  /** What a server can do is asked once. Of one that does not say, git finds out what is the matter. */
  const sendPack = (oid: string, signal: AbortSignal | undefined): Promise<SendPack | null> => {
    sender ??= openSendPack(options, formatOf(oid), signal).catch((error: unknown) => {
      sender = undefined;
      if (hasCode(error, 'git.busy', 'git.denied')) throw error; // git would hear the same
      return null;
    });
    return sender;
  };

  /** What was made is here as well, for who builds upon it. */
  const sendDraft = async (
    change: { readonly ref: string; readonly was: string | null; readonly to: string },
    draft: Draft,
    signal: AbortSignal | undefined,
  ): Promise<string | null> => {
    const pack = await draft.pack();
    const direct = pack === null ? null : await sendPack(change.to, signal);
    if (pack === null || direct === null) {
      await bringToDisk([draft.base], signal);
      await draft.settle();
      return send(change, signal);
    }
    await utimes(gitDir, new Date(), new Date()); // what is in use is not swept
    try {
      const said = await direct(change, pack, signal);
      if (said === null) {
        fresh.add(draft.objects());
        newest = change.to;
      }
      return said;
    } catch (error) {
      if (!hasCode(error, 'git.pack-refused')) throw error;
      await bringToDisk([draft.base], signal);
      await draft.settle();
      return send(change, signal); // whole objects; and if it is something else, git hears what
    }
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
      const ref = refOf(branch);
      let said: string | null = null;
      let failure: unknown;
      try {
        said = await sendDraft({ ref, was, to: draft.tip() }, draft, signal);
        if (said === null) return { kind: 'pushed' };
      } catch (error) {
        failure = error;
      }
      signal?.throwIfAborted();
      const now = await head(branch, signal);
      if (now === null && was !== null) return { kind: 'gone' };
      if (now !== null && (await isAncestor(draft.tip(), now.oid, draft.base))) return { kind: 'pushed' }; // it arrived, and only the answer was lost
      if (now !== null && now.oid !== was) return { kind: 'moved', head: now.oid };
      if (said === null) throw failure;
      return { kind: 'refused', said };
    },
    remove: async ({ branch, oid }, signal) => {
      await pen(oid);
      await send({ ref: refOf(branch), was: oid, to: null }, signal);
    },
    prefetch: async (oids) => {
      const here = await Promise.all(oids.map(async (oid) => fresh.has(oid) || isOnDisk(oid)));
      await mirror.prefetch(oids.filter((_oid, index) => here[index] === false));
    },
    close: async () => {
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

/** What the server said, then what git made of it. */
function saidOf(stderr: string, porcelain: string): string {
  const lines = cleanMessage(stderr).split('\n');
  const remote = lines.flatMap((line) => /^remote:\s*(\S.*)$/.exec(line)?.[1] ?? []);
  const reason = /^!\t\S+\t(.+)$/m.exec(cleanMessage(porcelain))?.[1];
  return (
    [...remote, ...(reason === undefined ? [] : [reason])].join(' ').replace(/\s+/g, ' ').slice(0, 500) ||
    'no reason was given'
  );
}

function noBranchName(): GitError {
  return new GitError({
    code: 'git.object-missing',
    what: 'That is not the name of a branch.',
    fix: 'Give one that `git check-ref-format --branch` takes.',
  });
}
