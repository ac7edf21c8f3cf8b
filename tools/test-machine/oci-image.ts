import { execFile } from 'node:child_process';
import { readFile, realpath } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';

import { pack } from 'tar-stream';

import { sha256, type Digest } from '../../src/lib/digest.ts';

const run = promisify(execFile);

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** An image in memory: a manifest and the blobs that it names. */
export interface TestImage {
  readonly digest: Digest;
  readonly manifest: Buffer;
  readonly mediaType: string;
  readonly blobs: ReadonlyMap<Digest, Buffer>;
}

/** An image of these layers, each a tar by gzip. Equal input, equal image. */
export function imageOf(
  layers: readonly Buffer[],
  options: {
    readonly argv: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly user?: string;
    readonly workdir?: string;
  },
): TestImage {
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: {
        Cmd: options.argv,
        Env: Object.entries({ PATH: '/bin', ...options.env }).map(([name, value]) => `${name}=${value}`),
        User: options.user ?? '',
        WorkingDir: options.workdir ?? '/',
      },
      history: layers.map(() => ({ created_by: 'towpath tests' })), // Buildah builds on no image without
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => sha256(gunzipSync(layer))) },
    }),
  );
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: sha256(bytes), size: bytes.length });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: describe(CONFIG, config),
      layers: layers.map((layer) => describe(LAYER, layer)),
    }),
  );
  const blobs = new Map([config, ...layers].map((bytes) => [sha256(bytes), bytes]));
  return { digest: sha256(manifest), manifest, mediaType: MANIFEST, blobs };
}

/** Pushes to an open registry over plain HTTP. @returns `host/repository@sha256:...` */
export async function pushTestImage(host: string, repository: string, image: TestImage): Promise<string> {
  const base = `http://${host}/v2/${repository}`;
  for (const [digest, bytes] of image.blobs) {
    if ((await fetch(`${base}/blobs/${digest}`, { method: 'HEAD' })).ok) continue;
    const begun = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
    const location = new URL(begun.headers.get('location') ?? '', base);
    location.searchParams.set('digest', digest);
    await put(location, bytes, 'application/octet-stream');
  }
  await put(new URL(`${base}/manifests/${image.digest}`), image.manifest, image.mediaType);
  return `${host}/${repository}@${image.digest}`;
}

async function put(url: URL, body: Buffer, type: string): Promise<void> {
  const answer = await fetch(url, { method: 'PUT', body: new Uint8Array(body), headers: { 'content-type': type } });
  if (!answer.ok) throw new Error(`The registry answered ${answer.status} to PUT ${url.pathname}.`);
}

export interface Entry {
  readonly path: string;
  readonly bytes?: Buffer;
  readonly link?: string;
  readonly mode?: number;
}

/** A program of this machine as it lies in an image, with the libraries that it loads. */
export async function programEntries(path: string, program: string): Promise<Entry[]> {
  const files: Entry[] = [{ path, bytes: await readFile(await realpath(program)), mode: 0o755 }];
  for (const library of await librariesOf(program)) {
    files.push({ path: library, bytes: await readFile(await realpath(library)), mode: 0o755 });
  }
  return files;
}

/** What the program needs beside itself; nothing for a static one. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run('ldd', [program]).catch(() => ({ stdout: '' }));
  return [...stdout.matchAll(/(\/\S+)\s+\(0x/g)].map(([, path]) => path ?? '');
}

export function fileEntry([path, content]: [string, string]): Entry {
  return { path, bytes: Buffer.from(content) };
}

export async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  const mtime = new Date(0);
  const folders = new Set<string>();
  for (const { path, bytes, link, mode } of entries) {
    const name = path.replace(/^\//, '');
    for (let at = name.indexOf('/'); at !== -1 && at < name.length - 1; at = name.indexOf('/', at + 1)) {
      const folder = name.slice(0, at + 1);
      if (!folders.has(folder)) archive.entry({ name: folder, type: 'directory', mode: 0o755, mtime });
      folders.add(folder);
    }
    if (link !== undefined) archive.entry({ name, type: 'symlink', linkname: link, mtime });
    else if (bytes === undefined) archive.entry({ name, type: 'directory', mode: mode ?? 0o755, mtime });
    else archive.entry({ name, mode: mode ?? 0o644, mtime }, bytes);
    folders.add(name);
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
