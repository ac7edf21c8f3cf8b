import { cleanMessage, GitError } from './git-error.ts';

export interface CommitInfo {
  readonly sha: string;
  readonly tree: string;
  /** The first is the branch that was merged into. */
  readonly parents: readonly string[];
  readonly authorName: string;
  readonly authorEmail: string;
  /** Who made the commit what it is: amended it, rebased it, merged it on a host (which then names itself). */
  readonly committerName: string;
  readonly committerEmail: string;
  readonly committedAtMs: number;
  /** The first paragraph of the message on one line, without control characters. */
  readonly subject: string;
}

/**
 * Reads one commit object.
 * @throws GitError `git.not-a-commit`
 */
export function parseCommit(sha: string, bytes: Buffer): CommitInfo {
  const blank = bytes.indexOf('\n\n');
  const head = blank === -1 ? bytes : bytes.subarray(0, blank);
  const text = decode(bytes, /^encoding (.+)$/m.exec(head.toString('latin1'))?.[1]);
  const split = text.indexOf('\n\n');
  const headers = (split === -1 ? text : text.slice(0, split)).split('\n');
  const tree = valueOf(headers, 'tree');
  if (!/^[0-9a-f]{40,64}$/.test(tree)) throw notACommit(sha);
  const author = personOf(valueOf(headers, 'author'));
  const committer = personOf(valueOf(headers, 'committer'));
  return {
    sha,
    tree,
    parents: headers.filter((line) => line.startsWith('parent ')).map((line) => line.slice('parent '.length)),
    authorName: author.name,
    authorEmail: author.email,
    committerName: committer.name,
    committerEmail: committer.email,
    committedAtMs: committer.atMs,
    subject: split === -1 ? '' : subjectOf(text.slice(split + 2)),
  };
}

export function notACommit(sha: string): GitError {
  return new GitError({
    code: 'git.not-a-commit',
    what: `The object ${sha.slice(0, 12)} is not a commit.`,
    fix: 'Give a commit: a tag may also name a file or a folder, and then nothing can be built from it.',
  });
}

function valueOf(headers: readonly string[], name: string): string {
  return headers.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? '';
}

/** Honest repositories hold names without brackets, two brackets, dates before 1970: none may stop a delivery. */
function personOf(line: string): { name: string; email: string; atMs: number } {
  const [, name = '', email = '', seconds = '0'] = /^(.*?)\s*<([^>]*)>(?:.*?(-?\d+) [+-]\d+)?/.exec(line) ?? [];
  return { name: oneLine(name), email: oneLine(email), atMs: Math.max(0, Math.min(Number(seconds), 2 ** 40)) * 1000 };
}

function subjectOf(message: string): string {
  const [paragraph = ''] = message.replace(/^\n+/, '').split(/\n\s*\n/);
  return oneLine(paragraph);
}

function oneLine(text: string): string {
  return cleanMessage(text).replaceAll(/\s+/g, ' ').trim().slice(0, 1000);
}

function decode(bytes: Buffer, encoding: string | undefined): string {
  try {
    return new TextDecoder(encoding?.trim() ?? 'utf-8', { ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes.toString('utf8');
  }
}
