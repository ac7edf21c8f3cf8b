import { constants } from 'node:fs';
import { chmod, lchown, link, lstat, mkdir, open, readdir, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import type { Header } from 'tar-stream';

import { ContainerError } from '../container-error.ts';
import { cloneTree } from './clone.ts';
import { pathInRoot } from './root-path.ts';

export interface LayerLimits {
  /** Bytes of all files of the image, unpacked. */
  readonly maxBytes: number;
  readonly maxEntries: number;
}

/** Unpacked size that no sane image passes; it stops an archive made to fill the disk. */
export const DEFAULT_LIMITS: LayerLimits = { maxBytes: 16 * 1024 ** 3, maxEntries: 2_000_000 };

export const WHITEOUT = '.wh.';
export const OPAQUE = '.wh..wh..opq';

/**
 * Lays the entries of one image over a root folder, layer after layer, and trusts none of them: names cannot leave the
 * root, links are followed inside it only, device nodes are left out, set-user-id bits are dropped (this root lies
 * open on the host), and totals are limited.
 */
export class LayerWriter {
  private readonly root: string;
  private readonly limits: LayerLimits;
  private readonly asRoot = process.geteuid?.() === 0;
  private readonly folders = new Map<string, string>();
  private readonly modes = new Map<string, number>();
  private made = new Set<string>();
  private bytes = 0;
  private entries = 0;

  constructor(root: string, limits: LayerLimits) {
    this.root = root;
    this.limits = limits;
  }

  /**
   * Makes the root.
   * @param tree whose content it begins with, in place of the layers that lie in it; its files are lent, not copied
   */
  async begin(tree: string | null): Promise<void> {
    if (tree === null) {
      await mkdir(this.root, { mode: 0o755 });
      return;
    }
    const { entries, bytes, folders } = await cloneTree(tree, this.root, () => true);
    this.add(entries, bytes);
    for (const [path, mode] of folders) if (path !== '') this.modes.set(path, mode);
  }

  /** Whiteouts hide what lower layers brought, never what their own layer did. */
  beginLayer(): void {
    this.made = new Set();
  }

  async write(header: Header, content: AsyncIterable<Uint8Array>): Promise<void> {
    this.add(1, header.size ?? 0);
    const parts = header.name.split('/').filter((part) => part !== '' && part !== '.');
    if (parts.includes('..') || header.name.includes('\0')) throw hostile(`an entry is named "${shown(header.name)}"`);
    if (parts.length === 0) return;
    try {
      await this.place(parts.join('/'), header, content);
    } catch (error) {
      if (!isOfName(error)) throw error;
      throw hostile(`this machine can have no file "${shown(header.name)}" (${error.code})`, error);
    }
  }

  private async place(path: string, header: Header, content: AsyncIterable<Uint8Array>): Promise<void> {
    const name = basename(path);
    const folder = await this.folder(dirname(path) === '.' ? '' : dirname(path));
    if (name === OPAQUE) return this.hideAll(folder);
    if (name.startsWith(WHITEOUT)) return this.hide(join(folder, name.slice(WHITEOUT.length)));
    await this.make(join(folder, name), header, content);
  }

  /** Folder modes come last: one without the right to write would refuse its own content. */
  async finish(): Promise<void> {
    for (const [path, mode] of [...this.modes].reverse()) {
      if ((await pathInRoot(this.root, path)) !== path) continue; // chmod follows links: never out of the root
      await chmod(join(this.root, path), this.asRoot ? mode : (mode | 0o500) & ~0o222).catch(ignoreMissing);
    }
  }

  private async make(path: string, header: Header, content: AsyncIterable<Uint8Array>): Promise<void> {
    const full = join(this.root, path);
    switch (header.type) {
      case 'directory':
        await this.makeFolder(path, (header.mode ?? 0o755) & 0o1777);
        break;
      case 'file':
      case 'contiguous-file':
        await this.clear(path);
        await this.makeFile(full, header, content);
        break;
      case 'symlink':
        await this.clear(path);
        await symlink(header.linkname ?? '', full);
        break;
      case 'link': {
        const target = await pathInRoot(this.root, header.linkname ?? '', false);
        const stat = await lstat(join(this.root, target)).catch(() => null);
        if (stat === null || stat.isDirectory()) throw hostile(`"${shown(path)}" links to nothing`);
        if (target === path) return;
        await this.clear(path);
        await link(join(this.root, target), full);
        break;
      }
      default:
        return; // devices and pipes: whatever runs the root gives its own /dev
    }
    this.mark(path);
    if (this.asRoot && header.type !== 'link') await lchown(full, header.uid ?? 0, header.gid ?? 0);
  }

  private async makeFile(full: string, header: Header, content: AsyncIterable<Uint8Array>): Promise<void> {
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;
    const file = await open(full, flags, 0o600);
    try {
      for await (const chunk of content) await file.writeFile(chunk);
      const mode = (header.mode ?? 0o644) & 0o777;
      await file.chmod(this.asRoot ? mode : (mode | 0o400) & ~0o222);
      if (header.mtime !== undefined) await file.utimes(header.mtime, header.mtime);
    } finally {
      await file.close();
    }
  }

  private async makeFolder(path: string, mode: number): Promise<void> {
    const stat = await lstat(join(this.root, path)).catch(() => null);
    if (stat !== null && !stat.isDirectory()) {
      await this.clear(path);
    }
    if (stat === null || !stat.isDirectory()) await mkdir(join(this.root, path), 0o755);
    this.modes.delete(path);
    this.modes.set(path, mode);
  }

  /** The real folder behind a name, made where it is missing (a layer need not bring its parents). */
  private async folder(path: string): Promise<string> {
    const known = this.folders.get(path);
    if (known !== undefined) return known;
    const real = await pathInRoot(this.root, path);
    if (real !== '') {
      const stat = await lstat(join(this.root, real)).catch(() => null);
      if (stat !== null && !stat.isDirectory()) throw hostile(`"${shown(path)}" is a file and a folder`);
      if (stat === null) await mkdir(join(this.root, real), { recursive: true, mode: 0o755 });
    }
    this.folders.set(path, real);
    return real;
  }

  private async clear(path: string): Promise<void> {
    const stat = await lstat(join(this.root, path)).catch(() => null);
    if (stat === null) return;
    await rm(join(this.root, path), { recursive: true, force: true });
    if (stat.isFile()) return;
    this.folders.clear();
    for (const folder of this.modes.keys()) {
      if (folder === path || folder.startsWith(`${path}/`)) this.modes.delete(folder);
    }
  }

  private async hide(path: string): Promise<void> {
    if (basename(path) === '' || basename(path) === '.' || basename(path) === '..')
      throw hostile('a whiteout of no name');
    if (!this.made.has(path)) await this.clear(path);
  }

  private async hideAll(folder: string): Promise<void> {
    for (const entry of await readdir(join(this.root, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (this.made.has(path) && entry.isDirectory()) await this.hideAll(path);
      else await this.hide(path);
    }
  }

  /** Remembers what this layer made, with its folders: an opaque mark that comes later must not take them. */
  private mark(path: string): void {
    for (let at = path; at !== '.' && !this.made.has(at); at = dirname(at)) this.made.add(at);
  }

  private add(entries: number, bytes: number): void {
    this.entries += entries;
    this.bytes += bytes;
    if (this.entries > this.limits.maxEntries || this.bytes > this.limits.maxBytes) {
      throw hostile(`it holds more than ${this.limits.maxBytes} bytes or ${this.limits.maxEntries} entries`);
    }
  }
}

/** What a file system says of names and links that it cannot have; a full or broken disk says other things. */
function isOfName(error: unknown): error is NodeJS.ErrnoException {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return ['ENAMETOOLONG', 'ELOOP', 'ENOTDIR', 'EISDIR', 'EINVAL', 'ENOENT', 'EMLINK', 'ERR_INVALID_ARG_VALUE'].includes(
    code,
  );
}

export function hostile(why: string, cause?: unknown): ContainerError {
  return new ContainerError(
    {
      code: 'container.image-refused',
      what: `The image was not unpacked: ${why}.`,
      fix: 'Do not run it before you know who made it; build it again from its source.',
    },
    { cause },
  );
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 200)).slice(1, -1);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}
