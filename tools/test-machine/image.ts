import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

import { programPath } from '../packages.js';
import { findRustProgram } from '../rust-programs.js';
import { type Entry, fileEntry, imageOf, programEntries, tarOf, type TestImage } from './oci-image.ts';

const run = promisify(execFile);
const cache = fileURLToPath(new URL('../../node_modules/.cache/towpath-test-images/', import.meta.url));

/**
 * Makes a small image from programs of this machine, since no public image can be fetched: `busybox` has a shell, its
 * tools and `httpd` (2 MB); `node` has these and this very Node (some 40 MB, made once and kept), `postgres` the server and
 * clients of Debian, `redis` likewise, `s3` the server of the s3s project. Equal input, equal image.
 * @param options.files path inside -> content
 */
export async function makeTestImage(options: {
  readonly base: TestBase;
  readonly files?: Readonly<Record<string, string>>;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workdir?: string;
}): Promise<TestImage> {
  const layers = [await baseLayer(options.base)];
  if (options.files !== undefined) layers.push(gzipSync(await tarOf(Object.entries(options.files).map(fileEntry))));
  return imageOf(layers, options);
}

/** A server that begins empty, takes connections of user `postgres` from anywhere, and is gone with its container. */
export function makePostgresImage(): Promise<TestImage> {
  const begin = [
    'initdb --pgdata=/tmp/data --username=postgres --auth=trust --no-sync --locale=C --encoding=UTF8 > /dev/null',
    "echo 'host all all all trust' >> /tmp/data/pg_hba.conf",
    `exec postgres -D /tmp/data -k /tmp -c listen_addresses='*' -c fsync=off`,
  ];
  return makeTestImage({ base: 'postgres', argv: ['sh', '-c', begin.join(' && ')], user: 'node' });
}

/** A server that begins empty and takes connections from anywhere. */
export function makeRedisImage(): Promise<TestImage> {
  const argv = ['redis-server', '--protected-mode', 'no', '--save', '', '--dir', '/tmp'];
  return makeTestImage({ base: 'redis', argv, user: 'node' });
}

/** An S3 on a folder of its own with one empty bucket, that checks signatures. @see rust-programs.js, which builds its program */
export function makeS3Image(
  bucket: string,
  keys: { accessKeyId: string; secretAccessKey: string },
): Promise<TestImage> {
  const serve = ['--host', '0.0.0.0', '--port', '9000', '--access-key', keys.accessKeyId];
  const argv = ['s3s-fs', ...serve, '--secret-key', keys.secretAccessKey, '/buckets'];
  return makeTestImage({ base: 's3', files: { [`/buckets/${bucket}/.keep`]: '' }, argv });
}

type TestBase = 'busybox' | 'node' | 'postgres' | 'redis' | 's3';

const REDIS = ['redis-server', 'redis-cli'];
const POSTGRES = ['initdb', 'postgres', 'psql', 'pg_isready'];

async function baseLayer(base: TestBase): Promise<Buffer> {
  const busybox = programPath('busybox') ?? 'busybox';
  const postgres = base === 'postgres' ? dirname(await realpath(programPath('postgres') ?? 'postgres')) : '';
  const s3s = findRustProgram('s3s-fs').path ?? 's3s-fs';
  const programs = {
    '/bin/busybox': busybox,
    ...(base === 'node' ? { '/bin/node': process.execPath } : {}),
    ...(base === 's3' ? { '/bin/s3s-fs': s3s } : {}),
    ...(base === 'redis' ? Object.fromEntries(REDIS.map((name) => [`/bin/${name}`, programPath(name) ?? name])) : {}),
    ...(base === 'postgres'
      ? Object.fromEntries(POSTGRES.map((name) => [`${postgres}/${name}`, `${postgres}/${name}`]))
      : {}),
  };
  const key = createHash('sha256').update(`2 ${process.version} ${process.arch} ${postgres} `);
  key.update(await readFile(busybox));
  if (base === 's3') key.update(await readFile(s3s));
  const kept = join(cache, `${base}-${key.digest('hex').slice(0, 16)}.tar.gz`);
  const found = await readFile(kept).catch(() => null);
  if (found !== null) return found;

  const applets = (await run(busybox, ['--list'])).stdout
    .split('\n')
    .filter((name) => name !== '' && name !== 'busybox');
  const files: Entry[] = [
    {
      path: '/etc/passwd',
      bytes: Buffer.from('root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n'),
    },
    { path: '/etc/group', bytes: Buffer.from('root:x:0:\nnode:x:1000:\n') },
    { path: '/tmp/', mode: 0o1777 },
    { path: '/home/node/', mode: 0o777 },
    ...applets.map((name) => ({ path: `/bin/${name}`, link: 'busybox' })),
  ];
  if (base === 'postgres') {
    const [, version = ''] = /postgresql\/(\d+)\//.exec(postgres) ?? [];
    files.push(...POSTGRES.map((name) => ({ path: `/bin/${name}`, link: `${postgres}/${name}` })));
    for (const name of ['dict_snowball.so', 'plpgsql.so'])
      files.push(...(await filesBelow(join(postgres, '../lib', name))));
    files.push(...(await filesBelow(`/usr/share/postgresql/${version}`)));
  }
  for (const [path, program] of Object.entries(programs)) {
    files.push(...(await programEntries(path, program)));
  }
  const each = new Map(files.map((file) => [file.path, file])); // programs share libraries
  const layer = gzipSync(await tarOf([...each.values()]), { level: 1 });
  await mkdir(dirname(kept), { recursive: true });
  await writeFile(`${kept}.${process.pid}`, layer);
  await rename(`${kept}.${process.pid}`, kept);
  return layer;
}

/** A file, or all files of a folder, as they lie on this machine. */
async function filesBelow(path: string): Promise<Entry[]> {
  if (!(await stat(path)).isDirectory()) return [{ path, bytes: await readFile(path), mode: 0o755 }];
  const names = (await readdir(path, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const paths = names.map((entry) => join(entry.parentPath, entry.name)).toSorted();
  return Promise.all(paths.map(async (file) => ({ path: file, bytes: await readFile(file) })));
}
