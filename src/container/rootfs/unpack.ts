import { readFile, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import type { Digest } from '../../lib/digest.ts';
import { hexOf, shortDigest } from '../../lib/digest.ts';
import type { ImageOnMachine } from '../runtime.ts';
import { makeWhole, removeWhole } from './folders.ts';
import { type ImageSource, readImage } from './image.ts';
import { DEFAULT_LIMITS, type LayerLimits } from './layer.ts';
import { layTree } from './tree.ts';

export interface UnpackOptions {
  /** Where the unpacked roots lie; several servers of a machine may share it. */
  readonly directory: string;
  /** Host of the registry, as it stands in references. */
  readonly host: string;
  readonly platform?: string;
  readonly limits?: LayerLimits;
  readonly signal?: AbortSignal;
}

/** Beside the images: trees of lower layers that several of them begin with. */
const SHARED = 'layers';

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
  const { config, layers } = await readImage(source, repository, image, options.platform ?? hostPlatform());
  const { directory, limits = DEFAULT_LIMITS, signal } = options;
  const tree = { shared: join(directory, SHARED), limits, ...(signal === undefined ? {} : { signal }) };
  await makeWhole(directory, final, async (draft) => {
    await layTree(source, repository, layers, join(draft, 'fs'), tree);
    await writeFile(join(draft, 'image.json'), JSON.stringify(config));
  });
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
  const unused = await sweepFolder(directory, keep, beforeMs);
  await sweepFolder(join(directory, SHARED), new Set(), beforeMs); // what images began with stays theirs
  return unused;
}

/** `linux/amd64` or `linux/arm64`: images are Linux images, whatever this machine is. */
export function hostPlatform(): string {
  return `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`;
}

async function readReady(final: string, reference: string): Promise<ImageOnMachine | null> {
  const now = new Date();
  await utimes(final, now, now).catch(() => undefined); // says when it was last asked for
  const text = await readFile(join(final, 'image.json'), 'utf8').catch(() => null);
  return text === null
    ? null
    : { reference, rootfs: join(final, 'fs'), config: ImageFile.parse(JSON.parse(text) as unknown) };
}

/** @returns how many went */
async function sweepFolder(directory: string, keep: ReadonlySet<string>, beforeMs: number): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const stale: string[] = [];
  for (const name of names.filter((one) => /^[0-9a-f]{64}$/.test(one) && !keep.has(one))) {
    const usedMs = (await stat(join(directory, name)).catch(() => null))?.mtimeMs ?? Number.POSITIVE_INFINITY;
    if (usedMs < beforeMs) stale.push(name);
  }
  for (const name of stale) await removeWhole(directory, join(directory, name));
  return stale.length;
}
