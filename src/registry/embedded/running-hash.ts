import { createHash } from 'node:crypto';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';

/** A SHA-256 of bytes that come one after the other. */
export interface RunningHash {
  /** Takes the bytes for good: afterwards nobody else can read them. @returns when there is room for more */
  update(chunks: readonly Buffer[]): Promise<void>;
  /** Ends it. @returns the digest in hex; null when it was lost, and all is to be read again */
  digest(): Promise<string | null>;
  /** Ends it too. */
  drop(): void;
}

/** What begins with less is hashed here: to ask another thread would take longer. */
const SMALL_BYTES = 32 * 1024;

export function runningHash(): RunningHash {
  let hash: RunningHash | null = null;
  const chosen = (bytes: number) => (hash ??= bytes < SMALL_BYTES ? hashHere() : hashElsewhere());
  return {
    update: async (chunks) => chosen(lengthOf(chunks)).update(chunks),
    digest: async () => chosen(0).digest(),
    drop: () => hash?.drop(),
  };
}

function hashHere(): RunningHash {
  const hash = createHash('sha256');
  return {
    update: async (chunks) => chunks.forEach((chunk) => hash.update(chunk)),
    digest: async () => hash.digest('hex'),
    drop: () => undefined,
  };
}

/**
 * On another thread, so that the one which takes the bytes off the network need not do it: to hash takes as long as that.
 * A thread that ends loses what it had hashed, and no more: whoever comes next gets another.
 */
function hashElsewhere(): RunningHash {
  const { port1: port, port2: far } = new MessageChannel();
  const asked: ((answer: string | null) => void)[] = [];
  let isOpen = true;
  port.on('message', (answer: string | null) => asked.shift()?.(answer));
  port.once('close', () => {
    isOpen = false;
    for (const tell of asked.splice(0)) tell(null);
  });
  port.unref();
  runningThread().postMessage(far, [far]);
  const ask = async (chunks: readonly Buffer[] | null): Promise<string | null> => {
    if (!isOpen) return null;
    port.postMessage(
      chunks,
      (chunks ?? []).map(wholeBuffer).filter((buffer) => buffer !== null),
    );
    return new Promise((resolve) => void asked.push(resolve));
  };
  return {
    update: async (chunks) => void (await ask(chunks)),
    digest: async () => ask(null),
    drop: () => port.close(),
  };
}

/** A part of a larger buffer is copied: the rest belongs to somebody else. */
function wholeBuffer({ byteLength, buffer }: Buffer): ArrayBuffer | null {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? buffer : null;
}

/** One for the process: it hashes more than any network brings. */
let thread: Worker | null = null;

/** Ends the thread with all that it has hashed. @returns false when there is none */
export async function endHashing(): Promise<boolean> {
  const ending = thread;
  await ending?.terminate();
  return ending !== null;
}

function runningThread(): Worker {
  if (thread !== null) return thread;
  // As text, so that it is the same in the sources, in a bundle, and in the bundle of a test: no file has to be found.
  const started = new Worker(`(${hashForOthers.toString()})()`, { eval: true });
  started.on('error', () => undefined); // then it ends
  started.once('exit', () => {
    if (thread === started) thread = null;
  });
  started.unref();
  thread = started;
  return started;
}

/** What the thread does. It knows nothing of this file: each port that it gets is a hash; chunks are added, null ends it. */
function hashForOthers(): void {
  const { createHash: create } = process.getBuiltinModule('node:crypto');
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  parentPort?.on('message', (port: MessagePort) => {
    const hash = create('sha256');
    port.on('message', (chunks: readonly Uint8Array[] | null) => {
      for (const chunk of chunks ?? []) hash.update(chunk);
      port.postMessage(chunks === null ? hash.digest('hex') : null);
      if (chunks === null) port.close();
    });
  });
}

function lengthOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}
