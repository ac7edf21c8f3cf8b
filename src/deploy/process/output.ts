import { type FileHandle, open, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import { DeployError } from '../deploy-error.ts';
import type { OutputBlock, OutputWish } from '../rollout.ts';
import { type ProcessRecord, readRecord } from './record.ts';
import { readSecrets } from './secret-files.ts';

type Block = Omit<OutputBlock, 'secrets'>;

const WINDOW = 64 * 1024;
const POLL_MS = 250;
const NEWLINE = 10;

const outputFile = (folder: string): string => join(folder, 'output.log');
/** What was in the file before it was capped for the n-th time; one such is kept. */
const olderFile = (folder: string, generation: number): string => join(folder, `output.${generation}.log`);

/**
 * What an instance has printed, from a place of the file that it writes to. A place is `<generation>:<offset>`: each
 * time the file is capped another generation begins. Only whole lines are read, also from a place that somebody made up.
 */
export async function* readOutput(folder: string, { from, follow, signal }: OutputWish): AsyncGenerator<Block, void> {
  let [generation, offset] = placeOf('after' in from ? from.after : '');
  if ('last' in from) {
    const present = (generation = await generationOf(folder));
    const start = await startOfLast(outputFile(folder), from.last);
    offset = start.offset;
    if (start.lacking > 0) {
      const older = await startOfLast(olderFile(folder, present), start.lacking);
      yield* olderBlocks(folder, present, older.offset);
    }
  }
  for (; !signal.aborted; await wait(POLL_MS, undefined, { signal })) {
    const file = await open(outputFile(folder), 'r').catch(() => null);
    if (file === null) return; // removed; or it prints for the first time a moment from now
    try {
      const { size } = await file.stat();
      const now = await generationOf(folder);
      let hasGap = generation === now && size < offset;
      if (generation !== now) {
        const older = (await stat(olderFile(folder, now)).catch(() => null))?.size ?? 0;
        if (follow && generation !== null && size >= older && size > 0) continue; // it is being capped this very moment
        const isNext = generation !== null && now === generation + 1 && offset <= older;
        hasGap = isNext ? false : generation !== null || now > 1;
        for await (const block of olderBlocks(folder, now, isNext ? offset : 0)) {
          yield { ...block, hasGap: block.hasGap || hasGap };
          hasGap = false;
          if (signal.aborted) return;
        }
      }
      if (hasGap || generation !== now) offset = 0;
      generation = now;
      for (;;) {
        const block = await nextBlock(file, offset, !follow);
        if (block === null) break;
        offset = block.next;
        if (block.lines.length === 0) continue;
        yield { lines: block.lines, place: `${generation}:${offset}`, isCut: block.isCut, hasGap };
        hasGap = false;
        if (signal.aborted) return;
      }
    } finally {
      await file.close();
    }
    if (!follow) return;
  }
}

/**
 * The same with the secrets of the instance. They are read after each block, for what a program printed it was given
 * before; what was once known stays known, for the files go before the last words of a program that ends.
 * @throws DeployError `deploy.output-withheld`
 */
export async function* outputWithSecrets(folder: string, wish: OutputWish): AsyncGenerator<OutputBlock, void> {
  const known = new Map<string, Set<string>>();
  const learn = async (): Promise<void> => {
    for (const [name, value] of await readSecrets(dirname(folder), basename(folder)))
      known.set(name, new Set([...(known.get(name) ?? []), value]));
  };
  await learn();
  const found = await readRecord(folder);
  if (found.kind !== 'known') return;
  if (Object.keys(found.record.service.secrets).some((name) => !known.has(name))) throw withheld(found.record);
  for await (const block of readOutput(folder, wish)) {
    await learn();
    yield { ...block, secrets: [...known.values()].flatMap((values) => [...values]) };
  }
}

/** What was kept of the generation before; its places are what they were. */
async function* olderBlocks(
  folder: string,
  generation: number,
  start: number,
): AsyncGenerator<Block & { readonly hasGap: boolean }, void> {
  const file = await open(olderFile(folder, generation), 'r').catch(() => null);
  if (file === null) return;
  try {
    let hasGap = (await readAt(file, start, 1))[0] === 0; // what is there was too much to be kept
    for (let offset = start; ;) {
      const block = await nextBlock(file, offset, true);
      if (block === null) return;
      offset = block.next;
      const lines = block.lines.filter((line) => !line.startsWith('\0'));
      if (lines.length === 0) continue;
      yield { lines, place: `${generation - 1}:${offset}`, isCut: block.isCut, hasGap };
      hasGap = false;
    }
  } finally {
    await file.close();
  }
}

/**
 * Keeps the output of an instance below a size: what is more goes to a second file, and what was there before is
 * dropped. The program goes on writing meanwhile, to the end of the file that is emptied under it: what it prints in
 * that moment may be lost.
 */
async function capOutput(folder: string, limitBytes: number): Promise<void> {
  const path = outputFile(folder);
  const size = (await stat(path).catch(() => null))?.size ?? 0;
  if (size <= limitBytes) return;
  const before = await generationOf(folder);
  const older = olderFile(folder, before + 1);
  try {
    await copyFrom(path, `${older}.part`, Math.max(0, size - 2 * limitBytes), size + WINDOW);
    await rename(`${older}.part`, older);
  } catch {
    await rm(`${older}.part`, { force: true }); // a full disk, for example: then the more it has to become shorter
  }
  await truncate(path, 0).catch(ignoreMissing);
  await rm(olderFile(folder, before), { force: true });
}

/** The same for all instances; one that cannot be capped keeps no other from it. @throws the first failure */
export async function capOutputs(directory: string, limitBytes: number): Promise<void> {
  const failures: unknown[] = [];
  for (const target of await readdir(directory).catch(() => [])) {
    for (const id of await readdir(join(directory, target)).catch(() => []))
      await capOutput(join(directory, target, id), limitBytes).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

/** Drops all that was printed. */
export async function dropOutput(folder: string): Promise<void> {
  const older = olderFile(folder, await generationOf(folder));
  for (const path of [outputFile(folder), older]) await rm(path, { force: true });
}

/** The last lines, for a rollout that failed. */
export async function tailOf(folder: string, lines: number): Promise<string[]> {
  const last: string[] = [];
  const wish = { from: { last: lines }, follow: false, signal: new AbortController().signal };
  for await (const block of readOutput(folder, wish)) last.push(...block.lines);
  return last.slice(-lines);
}

interface Read {
  readonly lines: string[];
  readonly next: number;
  readonly isCut: boolean;
}

/** Whole lines from an offset on; from the middle of a line only what comes after it. @returns null at the end */
async function nextBlock(file: FileHandle, offset: number, takesOpenEnd: boolean): Promise<Read | null> {
  const from = Math.max(0, offset - 1);
  const bytes = await readAt(file, from, WINDOW);
  if (offset > 0 && bytes[0] !== NEWLINE) {
    const end = bytes.indexOf(NEWLINE);
    if (end >= 0) return { lines: [], next: from + end + 1, isCut: false };
    return bytes.length < WINDOW ? null : { lines: [], next: from + WINDOW, isCut: false };
  }
  const ours = bytes.subarray(offset - from);
  const end = ours.lastIndexOf(NEWLINE);
  if (end >= 0) return { lines: linesOf(ours.subarray(0, end)), next: offset + end + 1, isCut: false };
  if (bytes.length === WINDOW) return { lines: linesOf(ours), next: offset + ours.length, isCut: true };
  return takesOpenEnd && ours.length > 0 ? { lines: linesOf(ours), next: offset + ours.length, isCut: false } : null;
}

function linesOf(bytes: Buffer): string[] {
  return bytes
    .toString('utf8')
    .split('\n')
    .map((line) => line.replace(/\r$/, ''));
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

/** Where the last lines begin, found from the end in windows. @returns with `lacking`, how many there are too few */
async function startOfLast(path: string, count: number): Promise<{ offset: number; lacking: number }> {
  const file = await open(path, 'r').catch(() => null);
  if (file === null) return { offset: 0, lacking: count };
  try {
    const { size } = await file.stat();
    if (count === 0) return { offset: size, lacking: 0 };
    let found = 0;
    for (let end = size; end > 0; end -= WINDOW) {
      const begin = Math.max(0, end - WINDOW);
      const bytes = await readAt(file, begin, end - begin);
      for (let at = bytes.length - 1; at >= 0; at--) {
        if (bytes[at] !== NEWLINE || begin + at === size - 1) continue;
        found += 1;
        if (found === count) return { offset: begin + at + 1, lacking: 0 };
      }
    }
    return { offset: 0, lacking: count - found - (size > 0 ? 1 : 0) };
  } finally {
    await file.close();
  }
}

/** Copies what is after an offset to the same offset, so that places stay what they are; the hole before takes no space. */
async function copyFrom(path: string, to: string, offset: number, end: number): Promise<void> {
  const [source, target] = [await open(path, 'r'), await open(to, 'w', 0o600)];
  try {
    for (let at = offset; at < end;) {
      const bytes = await readAt(source, at, WINDOW);
      if (bytes.length === 0) return;
      await target.write(bytes, 0, bytes.length, at);
      at += bytes.length;
    }
  } finally {
    await source.close();
    await target.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error; // its instance was removed meanwhile
}

/** How often the file was capped: 0 where it never was. */
async function generationOf(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  return Math.max(0, ...names.map((name) => Number(/^output\.(\d+)\.log$/.exec(name)?.[1] ?? 0)));
}

function placeOf(text: string): [generation: number | null, offset: number] {
  const [, generation, offset] = /^(\d{1,9}):(\d{1,15})$/.exec(text) ?? [];
  return generation === undefined ? [null, 0] : [Number(generation), Number(offset)];
}

function withheld({ service }: ProcessRecord): DeployError {
  return new DeployError({
    code: 'deploy.output-withheld',
    what: `What "${service.service}" printed is not shown: the secrets that it was given are not on this machine any more, so they cannot be taken out.`,
    fix: 'Ask again when it runs; a service that is meant to is started again within seconds.',
  });
}
