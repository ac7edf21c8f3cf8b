import { execFile } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

import { pack } from 'tar-stream';

import { sha256 } from '../src/lib/digest.ts';
import type { Digest } from '../src/lib/digest.ts';
import { createRegistryClient } from '../src/registry/client/client.ts';
import { createEmbeddedRegistry } from '../src/registry/embedded/embedded.ts';
import { OCI_MANIFEST } from '../src/registry/manifest.ts';
import type { Registry } from '../src/registry/registry.ts';
import { programPath } from '../tools/packages.js';
import { findGoProgram } from '../tools/go-programs.js';
import { startDockerEngine } from '../tools/test-machine/docker-engine.js';
import { alternate, median } from './figure.ts';
import type { Contender, Figure } from './figure.ts';

const execute = promisify(execFile);

const SIZES = [
  { name: '20mb', bytes: 20e6, dockerRounds: 5 },
  { name: '200mb', bytes: 200e6, dockerRounds: 4 },
  { name: '2gb', bytes: 2e9, dockerRounds: 2 },
] as const;
const LAYERS = 8;
const REPOSITORY = 'bench/retag';

/**
 * A new name for an image that is there: in the server, by `crane tag`, and by `docker pull`, `tag` and `push` on an engine
 * that does not have it, which is what a CI runner does. All speak to the same embedded registry on this machine.
 */
export async function run(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-bench-retag-'));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const embedded = await createEmbeddedRegistry({ directory: join(directory, 'registry'), host });
  server.on('request', (request, response) => void embedded.handle(request, response));
  const registry = embedded.registry();
  const client = createRegistryClient({ host });
  const crane = craneContender(host);
  const docker = await dockerContender(host, directory);
  try {
    const figures: Figure[] = [];
    for (const { name, bytes, dockerRounds } of SIZES) {
      const digest = await pushLargeImage(registry, bytes, name);
      let count = 0;
      const next = () => `${name}-${++count}`;
      const inServer = { name: 'server' as const, run: async () => registry.tag(REPOSITORY, digest, next()) };
      const overHttp = { name: 'http' as const, run: async () => client.tag(REPOSITORY, digest, next()) };
      const quick = await alternate(25, [inServer, overHttp, ...(crane === null ? [] : [crane(digest, next)])]);
      figures.push(
        { name: `retag.${name}.p50`, value: median(quick.server), unit: 'ms', goal: { op: '<=', value: 25 } },
        { name: `retag.${name}.http.p50`, value: median(quick.http), unit: 'ms', goal: { op: '<=', value: 25 } },
      );
      if (crane !== null) {
        const [ours, theirs] = [median(quick.server), median(quick.crane)];
        figures.push(
          { name: `retag.${name}.crane.p50`, value: theirs, unit: 'ms' },
          { name: `retag.${name}.vs-crane`, value: theirs / ours, unit: 'x', goal: { op: '>=', value: 2 } },
          {
            name: `retag.${name}.http.vs-crane`,
            value: theirs / median(quick.http),
            unit: 'x',
            goal: { op: '>=', value: 2 },
          },
        );
      }
      if (docker !== null) {
        const slow = await alternate(dockerRounds, [inServer, docker.contender(digest, next)]);
        const [ours, theirs] = [median(slow.server), median(slow.docker)];
        figures.push(
          { name: `retag.${name}.docker.p50`, value: theirs, unit: 'ms' },
          { name: `retag.${name}.vs-docker`, value: theirs / ours, unit: 'x', goal: { op: '>=', value: 100 } },
        );
      }
    }
    return figures;
  } finally {
    await docker?.stop();
    server.closeAllConnections();
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

type Naming = (digest: Digest, next: () => string) => Contender & { readonly name: 'crane' };

function craneContender(host: string): Naming | null {
  const crane = findGoProgram('crane');
  if (crane.missing !== undefined) return notMeasured('crane', crane.missing);
  return (digest, next) => ({
    name: 'crane',
    run: async () => execute(crane.path, ['tag', `${host}/${REPOSITORY}@${digest}`, next()]),
  });
}

async function dockerContender(host: string, directory: string) {
  const program = programPath('docker');
  if (process.getuid?.() !== 0) return notMeasured('docker', 'a private engine can only be started by root');
  if (program === null || programPath('dockerd') === null)
    return notMeasured('docker', 'the package docker.io is not here');
  const engine = await startDockerEngine(join(directory, 'docker'));
  const docker = async (...argv: string[]) => execute(program, ['--host', engine.address, ...argv]);
  return {
    stop: async () => engine.stop(),
    contender: (digest: Digest, next: () => string) => ({
      name: 'docker' as const,
      // The engine forgets the image with its layers, so that the pull is one.
      prepare: async () => {
        const { stdout } = await docker('images', '--all', '--quiet', '--no-trunc');
        const ids = [...new Set(stdout.split('\n').filter((id) => id !== ''))];
        if (ids.length > 0) await docker('rmi', '--force', ...ids);
      },
      run: async () => {
        const [from, to] = [`${host}/${REPOSITORY}@${digest}`, `${host}/${REPOSITORY}:${next()}`];
        await docker('pull', '--quiet', from);
        await docker('tag', from, to);
        await docker('push', '--quiet', to);
      },
    }),
  };
}

function notMeasured(contender: string, why: string): null {
  console.error(`\n*** NOT MEASURED: ${contender} - ${why}. ***\n`);
  return null;
}

/** An image of layers that do not compress, each in memory only while it is written. */
async function pushLargeImage(registry: Registry, bytes: number, seed: string): Promise<Digest> {
  const write = async (mediaType: string, content: Buffer) => {
    const digest = sha256(content);
    await registry.writeBlob(REPOSITORY, { digest, size: content.length, open: () => content });
    return { mediaType, digest, size: content.length };
  };
  const layers = [];
  const diffIds = [];
  for (let i = 0; i < LAYERS; i++) {
    const tar = await layerTar(`layer-${i}`, noise(Math.floor(bytes / LAYERS), `${seed}-${i}`));
    diffIds.push(sha256(tar));
    layers.push(await write('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(tar, { level: 0 })));
  }
  const platform = { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' };
  const content = { ...platform, config: { Cmd: ['/none'] }, rootfs: { type: 'layers', diff_ids: diffIds } };
  const config = await write('application/vnd.oci.image.config.v1+json', Buffer.from(JSON.stringify(content)));
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers };
  const manifestBytes = Buffer.from(JSON.stringify(manifest));
  return registry.putManifest(REPOSITORY, sha256(manifestBytes), { mediaType: OCI_MANIFEST, bytes: manifestBytes });
}

/** The key stream of a cipher: as good as chance, quick, and the same each time. */
function noise(bytes: number, seed: string): Buffer {
  const key = Buffer.from(sha256(seed).slice(7, 39));
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

async function layerTar(name: string, content: Buffer): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name, mtime: new Date(0) }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
