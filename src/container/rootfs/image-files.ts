import { posix } from 'node:path';

import type { Header } from 'tar-stream';

import type { Digest } from '../../lib/digest.ts';
import { type ImageSource, readImage } from './image.ts';
import { DEFAULT_LIMITS, hostile, type LayerLimits, OPAQUE, WHITEOUT } from './layer.ts';
import { readLayer } from './read-layer.ts';

export interface FilesWanted {
  readonly platform: string;
  /** By its path in the image, without a slash in front. */
  readonly wants: (path: string) => boolean;
  /** Of all files that are wanted, together. */
  readonly maxBytes: number;
  readonly limits?: LayerLimits;
  readonly signal?: AbortSignal;
}

/**
 * The wanted files of an image as a program in it would find them under these very paths, read from its layers without
 * unpacking them. Links of folders are not followed; a hard link has the content of its target.
 * @throws ContainerError `container.image-refused` for one that is made to fill the memory, `container.image-malformed`, ...
 */
export async function readImageFiles(
  source: ImageSource,
  repository: string,
  image: Digest,
  wanted: FilesWanted,
): Promise<ReadonlyMap<string, Buffer>> {
  const { layers } = await readImage(source, repository, image, wanted.platform);
  const targets = new Set<string>();
  const read = async (): Promise<Tree> => {
    const tree = new Tree(wanted, targets);
    for (const layer of layers) {
      wanted.signal?.throwIfAborted();
      tree.beginLayer();
      const blob = await source.readBlob(repository, layer.digest);
      await readLayer(blob, layer, (header, content) => tree.take(header, content), wanted.signal);
      tree.endLayer();
    }
    return tree;
  };
  let tree = await read();
  if (tree.missed.size > 0) {
    for (const path of tree.missed) targets.add(path);
    tree = await read(); // wanted files are further names of others, which are wanted now
  }
  return new Map([...tree.files].filter(([path]) => wanted.wants(path)));
}

class Tree {
  /** Of the layers that have ended. */
  files = new Map<string, Buffer>();
  /** Targets of hard links that nobody kept. */
  readonly missed = new Set<string>();
  private readonly wanted: FilesWanted;
  private readonly targets: ReadonlySet<string>;
  private made = new Map<string, Buffer>();
  /** Paths of lower layers that are gone, with all below them. */
  private hidden = new Set<string>();
  /** In place of files of lower layers. */
  private folders = new Set<string>();
  /** Folders whose content of lower layers is gone. */
  private opaque = new Set<string>();
  /** What this layer has made, with the folders above. */
  private touched = new Set<string>();
  private entries = 0;
  private unpacked = 0;
  private kept = 0;

  constructor(wanted: FilesWanted, targets: ReadonlySet<string>) {
    this.wanted = wanted;
    this.targets = targets;
  }

  beginLayer(): void {
    this.made = new Map();
    this.hidden = new Set();
    this.folders = new Set();
    this.opaque = new Set();
    this.touched = new Set();
  }

  async take(header: Header, content: AsyncIterable<Uint8Array>): Promise<void> {
    const { maxBytes, maxEntries } = this.wanted.limits ?? DEFAULT_LIMITS;
    this.entries += 1;
    this.unpacked += header.size ?? 0;
    if (this.entries > maxEntries || this.unpacked > maxBytes)
      throw hostile(`it holds more than ${maxBytes} bytes or ${maxEntries} entries`);
    const path = pathOf(header.name);
    if (path === '') return;
    const name = posix.basename(path);
    const folder = posix.dirname(path) === '.' ? '' : posix.dirname(path);
    if (name === OPAQUE) this.opaque.add(folder);
    else if (name.startsWith(WHITEOUT)) this.hide(posix.join(folder, name.slice(WHITEOUT.length)));
    else {
      await this.make(path, header, content);
      for (let at = path; at !== '.' && !this.touched.has(at); at = posix.dirname(at)) this.touched.add(at);
    }
  }

  endLayer(): void {
    for (const path of this.files.keys()) if (this.isGone(path)) this.files.delete(path);
    for (const [path, bytes] of this.made) this.files.set(path, bytes);
  }

  /** As when it is unpacked: a mark does not take what its own layer has made before, with what was below. */
  private hide(path: string): void {
    if (!this.touched.has(path)) this.hidden.add(path);
  }

  private async make(path: string, header: Header, content: AsyncIterable<Uint8Array>): Promise<void> {
    if (header.type === 'directory') {
      this.folders.add(path);
      return;
    }
    this.hidden.add(path); // whatever was there before, a folder too
    this.made.delete(path);
    if (!this.wanted.wants(path) && !this.targets.has(path)) return;
    if (header.type === 'link') {
      const target = pathOf(header.linkname ?? '');
      const bytes = this.made.get(target) ?? this.files.get(target);
      if (bytes === undefined) this.missed.add(target);
      else this.made.set(path, bytes);
    } else if (header.type === 'file' || header.type === 'contiguous-file') {
      this.kept += header.size ?? 0;
      if (this.kept > this.wanted.maxBytes) throw tooMuch(this.wanted.maxBytes);
      const chunks: Uint8Array[] = [];
      for await (const chunk of content) chunks.push(chunk);
      this.made.set(path, Buffer.concat(chunks));
    }
  }

  private isGone(path: string): boolean {
    if (this.hidden.has(path) || this.folders.has(path)) return true;
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const above = path.slice(0, at);
      if (this.hidden.has(above) || this.opaque.has(above)) return true;
    }
    return this.opaque.has('');
  }
}

function pathOf(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0')) throw hostile('an entry has a name that leaves the image');
  return parts.join('/');
}

function tooMuch(maxBytes: number) {
  return hostile(`the files that say what is in it have more than ${maxBytes} bytes`);
}
