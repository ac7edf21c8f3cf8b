import { createHash, randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';

import { extract } from 'tar-stream';
import { z } from 'zod';

import type { Digest } from '../../lib/digest.ts';
import { hexOf, shortDigest } from '../../lib/digest.ts';
import { ContainerError } from '../container-error.ts';
import type { ImageOnMachine } from '../runtime.ts';
import { type ImageSource, readImage } from './image.ts';
import { DEFAULT_LIMITS, type LayerLimits, LayerWriter } from './layer.ts';

export interface UnpackOptions {
  /** Where the unpacked roots lie; several servers of a machine may share it. */
  readonly directory: string;
  /** Host of the registry, as it stands in references. */
  readonly host: string;
  readonly platform?: string;
  readonly limits?: LayerLimits;
  readonly signal?: AbortSignal;
}

const ImageFile = z.object({
  entrypoint: z.array(z.string()),
  command: z.array(z.string()),
  env: z.record(z.string(), z.string()),
  workdir: z.string(),
  user: z.string(),
});

/**
 * Gives the root folder of an image, unpacked on first use and shared after: keyed by digest, made under another name
 * and renamed when it is whole, so that a kill leaves nothing half-made and two that unpack at once do not disturb
 * each other. Nothing may ever write into it.
 * @throws ContainerError `container.image-missing`, `container.image-refused`, `container.image-malformed`, ...
 */
export async function ensureRootfs(
  source: ImageSource,
  repository: string,
  image: Digest,
  options: UnpackOptions,
): Promise<ImageOnMachine> {
  const reference = `${options.host}/${repository}@${image}`;
  const final = join(options.directory, hexOf(image));
  const ready = await readReady(final, reference);
  if (ready !== null) return ready;
  const parts = await readImage(source, repository, image, options.platform ?? hostPlatform());
  await mkdir(options.directory, { recursive: true, mode: 0o755 });
  await sweepAbandoned(options.directory);
  const draft = join(options.directory, `.draft-${process.pid}-${randomBytes(6).toString('hex')}`);
  try {
    await mkdir(join(draft, 'fs'), { recursive: true, mode: 0o755 });
    const writer = new LayerWriter(join(draft, 'fs'), options.limits ?? DEFAULT_LIMITS);
    for (const layer of parts.layers) {
      options.signal?.throwIfAborted();
      writer.beginLayer();
      await unpackLayer(await source.readBlob(repository, layer.digest), layer, writer, options.signal);
    }
    await writer.finish();
    await writeFile(join(draft, 'image.json'), JSON.stringify(parts.config));
    await renameUnlessThere(draft, final);
  } finally {
    await removeTree(draft);
  }
  const made = await readReady(final, reference);
  if (made === null) throw new Error(`the unpacked image ${shortDigest(image)} vanished`);
  return made;
}

/**
 * Removes unpacked images that are not `kept` and that nobody asked for since `beforeMs`: a task of a build or a check
 * may be at work in any other.
 * @returns how many went
 */
export async function sweepRootfs(directory: string, kept: ReadonlySet<Digest>, beforeMs: number): Promise<number> {
  const keep = new Set([...kept].map((digest) => hexOf(digest)));
  const names = await readdir(directory).catch(() => []);
  const stale: string[] = [];
  for (const name of names.filter((one) => /^[0-9a-f]{64}$/.test(one) && !keep.has(one))) {
    const usedMs = (await stat(join(directory, name)).catch(() => null))?.mtimeMs ?? Number.POSITIVE_INFINITY;
    if (usedMs < beforeMs) stale.push(name);
  }
  for (const name of stale) {
    const grave = join(directory, `.draft-${process.pid}-${randomBytes(6).toString('hex')}`);
    await rename(join(directory, name), grave); // vanishes at once for whoever looks, then takes its time
    await removeTree(grave);
  }
  return stale.length;
}

/** `linux/amd64` or `linux/arm64`: images are Linux images, whatever this machine is. */
export function hostPlatform(): string {
  return `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`;
}

/** Removes a folder though folders in it may lack the right to write. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    await makeWritable(path);
    await rm(path, { recursive: true, force: true });
  }
}

async function unpackLayer(
  blob: Readable,
  layer: { digest: Digest; diffId: Digest; compression: 'none' | 'gzip' | 'zstd' },
  writer: LayerWriter,
  signal: AbortSignal | undefined,
): Promise<void> {
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const tar = extract();
  const options = signal === undefined ? {} : { signal };
  const flow =
    layer.compression === 'none'
      ? pipeline(blob, hashing, tar, options)
      : pipeline(blob, decompressor(layer.compression), hashing, tar, options);
  const writing = (async () => {
    for await (const entry of tar) {
      await writer.write(entry.header, entry as AsyncIterable<Uint8Array>);
      entry.resume();
    }
  })();
  const [flowed, written] = await Promise.allSettled([flow, writing]);
  // The writer's refusal says more than the broken pipe that it causes.
  if (written.status === 'rejected' && isOurs(written.reason)) throw written.reason;
  if (flowed.status === 'rejected') throw flowed.reason;
  if (written.status === 'rejected') throw written.reason;
  if (`sha256:${hash.digest('hex')}` !== layer.diffId) {
    throw new ContainerError({
      code: 'container.image-malformed',
      what: `The layer ${shortDigest(layer.digest)} does not hold what its image says.`,
      fix: 'Build and push the image again.',
    });
  }
}

function decompressor(compression: 'gzip' | 'zstd'): Transform {
  if (compression === 'gzip') return zlib.createGunzip();
  const create: unknown = Reflect.get(zlib, 'createZstdDecompress'); // from Node 22.15 on
  if (typeof create === 'function') return create() as Transform;
  throw new ContainerError({
    code: 'container.zstd',
    what: `This Node (${process.version}) cannot read layers compressed with zstd.`,
    fix: 'Run Towpath with Node 22.15 or newer, or push the image with gzip layers.',
  });
}

async function readReady(final: string, reference: string): Promise<ImageOnMachine | null> {
  const now = new Date();
  await utimes(final, now, now).catch(() => undefined); // says when it was last asked for
  const text = await readFile(join(final, 'image.json'), 'utf8').catch(() => null);
  return text === null
    ? null
    : { reference, rootfs: join(final, 'fs'), config: ImageFile.parse(JSON.parse(text) as unknown) };
}

async function renameUnlessThere(draft: string, final: string): Promise<void> {
  try {
    await rename(draft, final);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error; // somebody else was first: the same bytes
  }
}

/** Drafts of servers that were killed. A draft's name holds the process that makes it. */
async function sweepAbandoned(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const pid = /^\.draft-(\d+)-[0-9a-f]+$/.exec(name)?.[1];
    if (pid !== undefined && Number(pid) !== process.pid && !isAlive(Number(pid))) {
      await removeTree(join(directory, name));
    }
  }
}

async function makeWritable(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => null);
  if (stat === null || !stat.isDirectory()) return;
  await chmod(path, 0o700);
  for (const name of await readdir(path)) await makeWritable(join(path, name));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function isOurs(error: unknown): boolean {
  return error instanceof ContainerError;
}
