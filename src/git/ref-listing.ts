import { GitError } from './git-error.ts';
import { decodePackets } from './pkt-line.ts';
import { type GitRef, isBranch, isRefName, pullNumber } from './ref.ts';

export interface ListingLimits {
  readonly maxRefs?: number | undefined;
  /** What refs of pull requests that are wanted begin with. */
  readonly pulls?: string | undefined;
}

/** What a server lists beside branches and tags, because it knows no prefixes, is read over; but not without end. */
const MOST_LINES = 2_000_000;

/**
 * The lines of an answer (`oid name attributes`). One that was cut off has no flush at its end: to take it for whole would
 * delete branches.
 * @returns undefined when the server says that it cannot answer so
 * @throws GitError `git.protocol`, `git.too-many-refs`
 */
export function readListing(body: Buffer): string | undefined {
  if (body.length === 0) return undefined;
  const lines: string[] = [];
  let isWhole = false;
  for (const packet of decodePackets(body)) {
    if (isWhole) throw notAListing();
    isWhole = packet.kind === 'flush';
    if (isWhole) continue;
    if (packet.kind !== 'data' || packet.bytes.length === 0) throw notAListing();
    const line = packet.bytes.toString('utf8').replace(/\n$/, '');
    if (line.startsWith('ERR ')) return undefined;
    lines.push(line);
    if (lines.length > MOST_LINES) throw tooManyRefs(`more than ${MOST_LINES} refs beside its`);
  }
  if (!isWhole) throw cutOff();
  return lines.join('\n');
}

/** @throws GitError `git.protocol`, `git.too-many-refs` */
export function parseListing(
  text: string,
  { maxRefs = 100_000, pulls }: ListingLimits,
): { refs: GitRef[]; defaultBranch: string | null } {
  // a prefix is a wish that a server may pass over: what was not asked for is not taken
  const isPull = (name: string): boolean => pulls !== undefined && name.startsWith(pulls) && pullNumber(name) !== null;
  const refs = new Map<string, GitRef>();
  let head: string | undefined;
  for (const line of text === '' ? [] : text.split('\n')) {
    const [oid = '', name = '', ...attributes] = line.split(' ');
    const commit = attributes.find((attribute) => attribute.startsWith('peeled:'))?.slice('peeled:'.length) ?? oid;
    if (!isObjectId(oid) || !isObjectId(commit)) throw notAListing();
    if (name === 'HEAD') head = attributes.find((attribute) => attribute.startsWith('symref-target:'))?.slice(14);
    if (!isRefName(name) && !isPull(name)) continue;
    if (refs.has(name)) throw notAListing();
    refs.set(name, { name, oid, commit });
    if (refs.size > maxRefs) throw tooManyRefs(`more than ${maxRefs}`);
  }
  return {
    refs: [...refs.values()],
    defaultBranch: head !== undefined && isBranch(head) && refs.has(head) ? head : null,
  };
}

export function tooManyRefs(how: string): GitError {
  return new GitError({
    code: 'git.too-many-refs',
    what: `The repository has ${how} branches and tags.`,
    fix: 'Delete refs that are no longer needed, or raise the limit.',
  });
}

function isObjectId(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

function cutOff(): GitError {
  return new GitError({
    code: 'git.protocol',
    what: 'The answer of the git server was cut off.',
    fix: 'Towpath tries again by itself; if it repeats, look at proxies between here and the server.',
  });
}

function notAListing(): GitError {
  return new GitError({
    code: 'git.protocol',
    what: 'The git server listed refs in a form that git does not know.',
    fix: 'Check that the URL leads to a git repository and not to something else.',
  });
}
