import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

import { gitEnvironment } from './environment.ts';
import { killGroup } from './git.ts';
import { GitError } from './git-error.ts';

export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag';

export interface GitObject {
  readonly type: ObjectType;
  readonly bytes: Buffer;
}

/** Looks objects up through one kept process: about 0.1 ms each, where a process of its own takes 2.5 ms. */
export interface ObjectReader {
  /** `null` when the object is not here. @throws GitError `git.too-large` */
  read(oid: string, maxBytes?: number): Promise<GitObject | null>;
  has(oid: string): Promise<boolean>;
  close(): void;
}

interface Request {
  readonly wantsBytes: boolean;
  readonly maxBytes: number;
  readonly resolve: (object: GitObject | null) => void;
  readonly reject: (error: Error) => void;
}

interface Body {
  readonly type: ObjectType;
  readonly size: number;
  readonly chunks: Buffer[];
  /** Bytes still to come, with the newline after them. */
  rest: number;
}

interface Session {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly pending: Request[];
  head: Buffer;
  body: Body | undefined;
}

const OID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * Only full object ids are ever sent: paths are walked by our own code, so no hostile name can pose as a second
 * request or confuse an answer. The process ends when it was idle for a while, and starts again when needed.
 */
export function createObjectReader({
  gitDir,
  directories,
  idleMs = 30_000,
}: {
  readonly gitDir: string;
  readonly directories: readonly string[];
  readonly idleMs?: number;
}): ObjectReader {
  let session: Session | undefined;
  let idle: NodeJS.Timeout | undefined;

  const ask = (command: 'contents' | 'info', oid: string, maxBytes: number): Promise<GitObject | null> => {
    if (!OID.test(oid)) return Promise.reject(malformedId());
    return new Promise((resolve, reject) => {
      clearTimeout(idle);
      session ??= start();
      session.pending.push({ wantsBytes: command === 'contents', maxBytes, resolve, reject });
      session.child.stdin.write(`${command} ${oid}\0`);
    });
  };

  const start = (): Session => {
    const child = spawn('git', [`--git-dir=${gitDir}`, 'cat-file', '--batch-command', '-z'], {
      cwd: '/',
      env: gitEnvironment({ directories }),
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const started: Session = { child, pending: [], head: Buffer.alloc(0), body: undefined };
    const lost = (): void => {
      if (session === started) session = undefined;
      for (const request of started.pending.splice(0)) request.reject(readerLost());
    };
    child.stdin.on('error', () => undefined); // `close` tells it
    child.once('error', lost);
    child.once('close', lost);
    child.stdout.on('data', (chunk: Buffer) => {
      try {
        consume(started, chunk);
      } catch {
        killGroup(child.pid); // out of step: nothing more that it says can be trusted
        lost();
      }
      if (started.pending.length === 0 && session === started) rest(started);
    });
    return started;
  };

  const rest = (resting: Session): void => {
    clearTimeout(idle);
    idle = setTimeout(() => end(resting), idleMs);
  };

  const end = (ending: Session | undefined): void => {
    if (ending === undefined || ending.pending.length > 0) return;
    if (session === ending) session = undefined;
    ending.child.stdin.end();
  };

  return {
    read: (oid, maxBytes = 512 * 1024 * 1024) => ask('contents', oid, maxBytes),
    has: async (oid) => (await ask('info', oid, 0)) !== null,
    close: () => {
      clearTimeout(idle);
      const closing = session;
      session = undefined;
      closing?.child.stdin.end();
    },
  };
}

/** @throws Error when the answers do not follow the form that git documents */
function consume(session: Session, chunk: Buffer): void {
  let rest = chunk;
  while (rest.length > 0) {
    if (session.body === undefined) {
      const newline = rest.indexOf(10);
      if (newline === -1) {
        session.head = Buffer.concat([session.head, rest]);
        if (session.head.length > 4096) throw new Error('A head that does not end.');
        return;
      }
      const head = Buffer.concat([session.head, rest.subarray(0, newline)]).toString('latin1');
      session.head = Buffer.alloc(0);
      rest = rest.subarray(newline + 1);
      takeHead(session, head);
    } else {
      const part = rest.subarray(0, session.body.rest);
      rest = rest.subarray(part.length);
      session.body.rest -= part.length;
      if (session.body.size <= (session.pending[0]?.maxBytes ?? 0)) session.body.chunks.push(part);
      if (session.body.rest === 0) takeBody(session, session.body);
    }
  }
}

function takeHead(session: Session, head: string): void {
  const request = session.pending[0];
  if (request === undefined) throw new Error('An answer that nobody asked for.');
  if (/^[0-9a-f]+ missing$/.test(head)) {
    session.pending.shift();
    request.resolve(null);
    return;
  }
  const [, type, digits] = /^[0-9a-f]+ (commit|tree|blob|tag) (\d+)$/.exec(head) ?? [];
  if (!isObjectType(type) || digits === undefined) throw new Error('A head of unknown form.');
  if (request.wantsBytes) {
    session.body = { type, size: Number(digits), chunks: [], rest: Number(digits) + 1 };
  } else {
    session.pending.shift();
    request.resolve({ type, bytes: Buffer.alloc(0) });
  }
}

function takeBody(session: Session, body: Body): void {
  session.body = undefined;
  const request = session.pending.shift();
  if (request === undefined) return;
  if (body.size > request.maxBytes) request.reject(tooLarge(body.size, request.maxBytes));
  else request.resolve({ type: body.type, bytes: Buffer.concat(body.chunks).subarray(0, body.size) });
}

function isObjectType(text: string | undefined): text is ObjectType {
  return text === 'commit' || text === 'tree' || text === 'blob' || text === 'tag';
}

function tooLarge(size: number, maxBytes: number): GitError {
  return new GitError({
    code: 'git.too-large',
    what: `An object of the repository has ${size} bytes; at most ${maxBytes} are read here.`,
    fix: 'Keep large files out of git, or outside the paths of the service.',
  });
}

function malformedId(): GitError {
  return new GitError({
    code: 'git.object-missing',
    what: 'A git object was asked for by something that is not a full object id.',
    fix: 'Give all 40 (or 64) hexadecimal digits.',
  });
}

function readerLost(): GitError {
  return new GitError({
    code: 'git.failed',
    what: 'The process that reads git objects ended unexpectedly.',
    fix: 'Ask again: it starts anew by itself.',
  });
}
