import { text } from 'node:stream/consumers';
import { PassThrough, Readable } from 'node:stream';

import { extract } from 'tar-stream';

import type { DockerEngine } from './engine.ts';
import { asked, askedFor } from './error.ts';

export interface OutputLines {
  readonly lines: readonly string[];
  /** The instant of the last of them, by the engine: what comes after it is still to be read. */
  readonly place: string;
  readonly isCut?: boolean;
}

export interface OutputOptions {
  readonly from: { readonly last: number } | { readonly after: string };
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

const LINES_PER_PART = 200;
const LONGEST_LINE = 64 * 1024;
/** RFC 3339 with nanoseconds, always nine digits, so that instants are compared as texts. */
const INSTANT = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z$/;

/** What a container printed, and prints. Ends with the container, also when it is followed; one that is gone printed nothing. */
export async function* containerOutput(
  engine: DockerEngine,
  name: string,
  { from, follow, signal }: OutputOptions,
): AsyncGenerator<OutputLines, void> {
  const container = engine.docker.getContainer(name);
  const doing = `read the output of ${name}`;
  const all = { stdout: true, stderr: true, timestamps: true };
  let after = 'after' in from && INSTANT.test(from.after) ? from.after : '';
  if ('last' in from) {
    // one more than asked for: where there is one, what belongs to it is known, and no line begins in its middle
    const bytes = await askedFor(doing, container.logs({ ...all, follow: false, tail: from.last + 1 }));
    if (bytes === null) return;
    const { frames } = framesIn(bytes);
    after = frames.length > from.last ? (frames[0]?.at ?? '') : '';
    for await (const part of linesOf([bytes], after, !follow)) {
      yield part;
      after = part.place;
    }
    if (!follow) return;
  }
  const since = after === '' ? {} : { since: secondsOf(after) as unknown as number }; // fractions, as a text
  const stream = follow
    ? await askedFor(doing, container.logs({ ...all, ...since, follow: true, abortSignal: signal }))
    : [(await askedFor(doing, container.logs({ ...all, ...since, follow: false }))) ?? Buffer.alloc(0)];
  if (stream !== null) yield* linesOf('pipe' in stream ? Readable.from(stream) : stream, after, true);
}

/** What an engine gave at once, with instants, as lines: those after a place. @param isAll nothing will come after it */
export async function* linesIn(bytes: Buffer, after: string, isAll: boolean): AsyncGenerator<OutputLines, void> {
  yield* linesOf([bytes], after, isAll);
}

/** The files of a folder of a container, running or not; null when it has none. */
export async function readFiles(
  engine: DockerEngine,
  name: string,
  folder: string,
): Promise<ReadonlyMap<string, string> | null> {
  const archive = await askedFor(
    `read ${folder} of ${name}`,
    engine.docker.getContainer(name).getArchive({ path: folder }),
  );
  if (archive === null) return null;
  const files = new Map<string, string>();
  const entries = extract();
  archive.on('error', (error) => entries.destroy(error)).pipe(entries);
  const read = async (): Promise<void> => {
    for await (const entry of entries) {
      const content = await text(entry.pipe(new PassThrough()));
      if (entry.header.type === 'file') files.set(entry.header.name.split('/').slice(1).join('/'), content);
    }
  };
  await asked(`read ${folder} of ${name}`, read());
  return files;
}

/**
 * Puts lines together. A long line is several messages of one and the same instant, of which only the last ends it.
 * @param takesOpenEnd also gives a line at the end that has no end yet
 */
async function* linesOf(
  chunks: AsyncIterable<unknown> | Iterable<Buffer>,
  after: string,
  takesOpenEnd: boolean,
): AsyncGenerator<OutputLines, void> {
  const open = new Map<number, { line: string; isCut: boolean }>();
  let pending: Buffer = Buffer.alloc(0);
  let lines: string[] = [];
  let place = after;
  let last = after;
  for await (const chunk of chunks) {
    const { frames, rest } = framesIn(
      pending.length === 0 ? (chunk as Buffer) : Buffer.concat([pending, chunk as Buffer]),
    );
    pending = rest;
    for (const { stream, at, words } of frames) {
      if (at <= after) continue;
      last = at;
      const begun = open.get(stream) ?? { line: '', isCut: false };
      if (begun.line.length < LONGEST_LINE) begun.line += words;
      else begun.isCut = true;
      open.set(stream, begun);
      if (!words.endsWith('\n')) continue;
      open.delete(stream);
      if (begun.isCut) {
        if (lines.length > 0) yield { lines, place };
        lines = [];
      }
      if (open.size === 0) place = at; // not in the middle of another line
      if (begun.isCut) yield { lines: [begun.line], place, isCut: true };
      else lines.push(begun.line.replace(/\r?\n$/, ''));
      if (lines.length < LINES_PER_PART) continue;
      yield { lines, place };
      lines = [];
    }
    if (lines.length > 0) yield { lines, place };
    lines = [];
  }
  const rest = takesOpenEnd ? [...open.values()].map(({ line }) => line) : [];
  if (rest.length > 0) yield { lines: rest, place: last };
}

/**
 * The whole frames at the begin of some bytes: a byte for the stream, three zeros, the length (big endian), then the
 * instant, a space and the words.
 */
function framesIn(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = [];
  let begin = 0;
  while (bytes.length >= begin + 8 && bytes.length >= begin + 8 + bytes.readUInt32BE(begin + 4)) {
    const end = begin + 8 + bytes.readUInt32BE(begin + 4);
    const message = bytes.toString('utf8', begin + 8, end);
    const at = message.slice(0, message.indexOf(' '));
    frames.push({ stream: bytes[begin] ?? 1, at, words: message.slice(at.length + 1) });
    begin = end;
  }
  return { frames, rest: bytes.subarray(begin) };
}

interface Frame {
  readonly stream: number;
  readonly at: string;
  readonly words: string;
}

/** As the engine takes it for `since`. */
export function secondsOf(instant: string): string {
  const [, whole = '', nanos = ''] = INSTANT.exec(instant) ?? [];
  return `${Date.parse(`${whole}Z`) / 1000}.${nanos}`;
}
