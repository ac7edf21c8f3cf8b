import type { BranchHead, BranchWriter } from '../../git/branch-writer.ts';
import type { Draft } from '../../git/draft.ts';
import { hasCode, type Problem, problemOf } from '../../lib/error.ts';
import { promotionIn } from './commit-message.ts';
import { createEdits, type Edits } from './edits.ts';
import { GitopsError } from './gitops-error.ts';
import type { WriteRequest } from './write-request.ts';
import type { ManifestBranch, TakenWrite, WriteResult } from './write-store.ts';

export interface BatchParts {
  readonly writer: Pick<BranchWriter, 'head' | 'draft' | 'push' | 'isAncestor' | 'prefetch'>;
  readonly branch: ManifestBranch;
  /** Where the branch was when a writer of ours saw it last. */
  readonly lastHead: string | null;
  /** Where our push has left it just now: whether it is there still is not asked before something is to be pushed upon it. */
  readonly left?: BranchHead | undefined;
  /** Of this batch, and of what was written to this branch before. */
  readonly edits?: Edits | undefined;
  readonly signal: AbortSignal;
}

export interface BatchOutcome {
  readonly head: string | null;
  /** Where a push has left it, when that was the last that was done. */
  readonly left?: BranchHead | undefined;
  readonly results: ReadonlyMap<string, WriteResult>;
}

/** Others may be faster so often; then it is told, and tried again as a whole. */
const MOST_RACES = 20;

/** Writes what is wanted: all that goes to the branch itself in one push, the others each to a branch of its own. */
export async function writeBatch(parts: BatchParts, writes: readonly TakenWrite[]): Promise<BatchOutcome> {
  const own = writes.filter(({ request }) => request.own !== null);
  const direct = writes.filter(({ request }) => request.own === null);
  if (own.length === 0) return writeToBranch(parts, direct);
  const apart = await writeToOwnBranches(parts, own);
  if (direct.length === 0) return apart;
  const together = await writeToBranch({ ...parts, lastHead: apart.head ?? parts.lastHead, left: undefined }, direct);
  return { ...together, results: new Map([...apart.results, ...together.results]) };
}

/**
 * Writes what is wanted in one push, a commit for each that changes something. Each edit is derived from the newest head; when
 * somebody else was faster, all are derived anew. One that cannot be written keeps no other from being written.
 * @throws GitError when the way to the repository fails: nothing is known then, and all of it may be asked again
 */
async function writeToBranch(parts: BatchParts, writes: readonly TakenWrite[]): Promise<BatchOutcome> {
  const results = new Map<string, WriteResult>();
  const { writer, branch, signal, edits = createEdits() } = parts;
  const ask = () => writer.head(branch.branch === '' ? null : branch.branch, signal);
  const left = parts.left?.oid === parts.lastHead ? parts.left : undefined; // another server may have written since
  let isAsked = left === undefined;
  let found = left ?? (await ask());
  const refuseAll = (problem: Problem): BatchOutcome => {
    refuseRest(results, writes, problem);
    return { head: found?.oid ?? null, results };
  };
  let known = parts.lastHead;
  for (let race = 0; race < MOST_RACES; race++) {
    if (found === null) return refuseAll(noBranch(branch));
    if (known !== null && known !== found.oid && !(await writer.isAncestor(known, found.oid)))
      return refuseAll(rewritten(branch, known));
    known = found.oid;
    const draft = await writer.draft(found.oid);
    await prefetch(writer, draft, writes);
    await derive(edits, draft, writes, results);
    if (!isAsked && !areAllNew(draft, writes, results)) {
      isAsked = true;
      results.clear();
      found = await ask();
      continue;
    }
    if (draft.tip() === draft.base) return { head: found.oid, results };
    const pushed = await writer.push(found.branch, draft, signal);
    switch (pushed.kind) {
      case 'pushed':
        return { head: draft.tip(), left: { branch: found.branch, oid: draft.tip() }, results };
      case 'gone':
        forgetWritten(results);
        if (isAsked) return refuseAll(noBranch(branch));
        isAsked = true; // the default branch may be another by now
        found = await ask();
        break;
      case 'refused':
        forgetWritten(results);
        return writes.length === 1 ? refuseAll(refused(branch, pushed.said)) : oneByOne(parts, writes);
      case 'moved':
        forgetWritten(results);
        found = { branch: found.branch, oid: pushed.head };
        isAsked = true;
        break;
      default:
        return pushed satisfies never;
    }
  }
  return refuseAll(tooBusy(branch));
}

/**
 * Writes each upon the newest head, to a branch that nobody else writes to: from there people bring it to the branch. One that is
 * there already stays as long as it is what would be written now; what others committed onto it is theirs, and stays as well.
 */
async function writeToOwnBranches(parts: BatchParts, writes: readonly TakenWrite[]): Promise<BatchOutcome> {
  const results = new Map<string, WriteResult>();
  const { writer, branch, lastHead, signal, edits = createEdits() } = parts;
  const found = await writer.head(branch.branch === '' ? null : branch.branch, signal);
  if (found === null) refuseRest(results, writes, noBranch(branch));
  else if (lastHead !== null && !(await writer.isAncestor(lastHead, found.oid)))
    refuseRest(results, writes, rewritten(branch, lastHead));
  else
    for (const write of writes) {
      const draft = await writer.draft(found.oid);
      await prefetch(writer, draft, [write]);
      await derive(edits, draft, [write], results);
      if (draft.tip() !== draft.base) results.set(write.key, await putOnOwnBranch(parts, write, draft));
    }
  return { head: found?.oid ?? null, results };
}

async function putOnOwnBranch(
  { writer, branch, signal }: BatchParts,
  { request }: TakenWrite,
  draft: Draft,
): Promise<WriteResult> {
  const own = request.own ?? '';
  for (let race = 0; race < MOST_RACES; race++) {
    const there = await writer.head(own, signal);
    if (there !== null && (await mayStay(await writer.draft(there.oid), draft, request)))
      return { kind: 'written', commit: there.oid };
    const pushed = await writer.push(own, draft, signal, there?.oid ?? null);
    if (pushed.kind === 'pushed') return { kind: 'written', commit: draft.tip() };
    if (pushed.kind === 'refused')
      return { kind: 'refused', problem: refused({ ...branch, branch: own }, pushed.said) };
  }
  return { kind: 'refused', problem: tooBusy({ ...branch, branch: own }) };
}

/** Whether merging it would bring the very files; or it is not ours to change any more. */
async function mayStay(there: Draft, wanted: Draft, { edits, message }: WriteRequest): Promise<boolean> {
  if (there.tip() === wanted.tip() || promotionIn(await there.message()) !== promotionIn(message)) return true;
  for (const file of new Set(edits.map(({ place }) => place.file))) {
    const [one, other] = [await there.at(file), await wanted.at(file)];
    if (one.kind !== 'file' || other.kind !== 'file' || one.oid !== other.oid) return false;
  }
  return true;
}

function refuseRest(results: Map<string, WriteResult>, writes: readonly TakenWrite[], problem: Problem): void {
  for (const { key } of writes) if (!results.has(key)) results.set(key, { kind: 'refused', problem });
}

/** What makes no commit, as it stands there already or cannot be written, is said of a head that was asked for. */
function areAllNew({ base }: Draft, writes: readonly TakenWrite[], results: ReadonlyMap<string, WriteResult>): boolean {
  const commits = new Set([...results.values()].map((result) => (result.kind === 'written' ? result.commit : base)));
  return commits.size === writes.length && !commits.has(base);
}

/** A server that refuses one commit refuses the whole push: so each is tried alone, for the others may be welcome. */
async function oneByOne(parts: BatchParts, writes: readonly TakenWrite[]): Promise<BatchOutcome> {
  const results = new Map<string, WriteResult>();
  let head = parts.lastHead;
  for (const write of writes) {
    const outcome = await writeToBranch({ ...parts, lastHead: head, left: undefined }, [write]);
    for (const [key, result] of outcome.results) results.set(key, result);
    head = outcome.head ?? head;
  }
  return { head, results };
}

/** All files in one request, where each alone would cost a round trip. */
async function prefetch(writer: BatchParts['writer'], draft: Draft, writes: readonly TakenWrite[]): Promise<void> {
  const files = new Set(writes.flatMap(({ request }) => request.edits.map(({ place }) => place.file)));
  const found = await Promise.all([...files].map((file) => draft.at(file)));
  await writer.prefetch(found.flatMap((at) => (at.kind === 'file' ? [at.oid] : [])));
}

async function derive(
  edits: Edits,
  draft: Draft,
  writes: readonly TakenWrite[],
  results: Map<string, WriteResult>,
): Promise<void> {
  for (const write of writes) {
    if (results.get(write.key)?.kind === 'refused') continue;
    try {
      const commit = await writeOne(draft, write, edits);
      results.set(write.key, { kind: 'written', commit });
    } catch (error) {
      if (!isVerdict(error)) throw error;
      results.set(write.key, { kind: 'refused', problem: problemOf(error) });
    }
  }
}

/** @returns the commit that holds it: a new one, or the one upon which there was nothing to change */
async function writeOne(draft: Draft, write: TakenWrite, edits: Edits): Promise<string> {
  const { request, firstAtMs, fenced } = write;
  if (fenced) throw late();
  const before = new Map<string, Buffer>();
  for (const { place } of request.edits)
    if (!before.has(place.file)) before.set(place.file, await readFile(draft, place.file));
  const after = edits.of(write, before);
  const files = new Map([...after].filter(([path, bytes]) => before.get(path)?.equals(bytes) !== true));
  if (files.size === 0) return draft.tip();
  return draft.commit({
    files,
    author: request.author,
    message: request.message,
    atSeconds: Math.floor(firstAtMs / 1000),
  });
}

/** The bytes of a manifest. @throws GitopsError `gitops.no-file`, `gitops.link` */
export async function readFile(draft: Pick<Draft, 'at' | 'read'>, file: string): Promise<Buffer> {
  const found = await draft.at(file);
  if (found.kind === 'file') return (await draft.read(file)) ?? Buffer.alloc(0);
  if (found.kind === 'link')
    throw new GitopsError({
      code: 'gitops.link',
      what: `${found.path} is a symbolic link, and Towpath writes through none.`,
      fix: `Name the file that it leads to in the place of ${file}.`,
    });
  throw new GitopsError({
    code: 'gitops.no-file',
    what: `The manifest repository has no file ${file}${found.kind === 'none' ? '' : `: that is a ${found.kind}`}.`,
    fix: 'Add it once by hand, or correct `file` in towpath.yaml: Towpath changes images and makes no manifests.',
  });
}

/** What is about the thing asked for, and would be the same at the next try. */
function isVerdict(error: unknown): boolean {
  return error instanceof GitopsError || hasCode(error, 'git.too-large', 'deploy.fenced');
}

function forgetWritten(results: Map<string, WriteResult>): void {
  for (const [key, { kind }] of results) if (kind === 'written') results.delete(key);
}

function late(): GitopsError {
  return new GitopsError({
    code: 'deploy.fenced',
    what: 'A newer operation works on this environment by now, so nothing was written for this one.',
    fix: 'Nothing needs to be done: the newer operation decides what runs. `towpath status` shows it.',
  });
}

function nameOf({ branch, repository }: ManifestBranch): string {
  return branch === '' ? `the default branch of ${repository}` : `the branch ${branch} of ${repository}`;
}

function noBranch(branch: ManifestBranch): Problem {
  return {
    code: 'gitops.no-branch',
    what: `There is no ${nameOf(branch).replace(/^the /, '')}.`,
    fix: 'Make the branch again, or name another in towpath.yaml: Towpath makes none, so that a deleted one stays deleted.',
  };
}

function rewritten(branch: ManifestBranch, known: string): Problem {
  return {
    code: 'gitops.rewritten',
    what: `The history of ${nameOf(branch)} was rewritten: it does not hold ${known.slice(0, 12)} any more, which it did.`,
    fix: 'Look at what stands there now; the next promotion goes on from there.',
  };
}

function refused(branch: ManifestBranch, said: string): Problem {
  return {
    code: 'gitops.refused',
    what: `The server does not let Towpath write to ${nameOf(branch)}: ${said}.`,
    fix: 'Let the user of the credential push there (a rule that protects the branch may keep it out), let Towpath open a pull request instead (`request: true`), or name another branch.',
  };
}

function tooBusy(branch: ManifestBranch): Problem {
  return {
    code: 'gitops.busy',
    what: `Others wrote to ${nameOf(branch)} ${MOST_RACES} times while Towpath wanted to.`,
    fix: 'It is tried again by itself.',
  };
}
