import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { hostPlatform } from '../../src/container/rootfs/unpack.ts';
import { sha256 } from '../../src/lib/digest.ts';
import { createEmbeddedRegistry } from '../../src/registry/embedded/embedded.ts';
import type { Registry } from '../../src/registry/registry.ts';

/** Somebody else's registry, which does what a test says: it fails, or keeps who asks waiting. */
export interface FaultRegistry {
  readonly host: string;
  /** Decides about each request: a status to answer with; or null, at once or later, for the true answer. */
  fault: (request: IncomingMessage) => number | null | Promise<null>;
  /** Pushes an image of one empty layer: enough to build upon, not to run. */
  push(repository: string, tag: string): Promise<void>;
  close(): Promise<void>;
}

export async function startFaultRegistry(): Promise<FaultRegistry> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-registry-'));
  const server = createServer((request, response) => {
    void (async () => {
      const status = await faults.fault(request);
      if (status === null) await embedded.handle(request, response);
      else response.writeHead(status).end();
    })();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const embedded = await createEmbeddedRegistry({ directory, host });
  const faults: FaultRegistry = {
    host,
    fault: () => null,
    push: (repository, tag) => pushEmpty(embedded.registry(), repository, tag),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
      await rm(directory, { recursive: true, force: true });
    },
  };
  return faults;
}

async function pushEmpty(registry: Registry, repository: string, tag: string): Promise<void> {
  const tar = Buffer.alloc(1024);
  const [os, architecture] = hostPlatform().split('/');
  const layer = await pushBlob(registry, repository, gzipSync(tar));
  const config = await pushBlob(
    registry,
    repository,
    Buffer.from(
      JSON.stringify({
        os,
        architecture,
        config: {},
        rootfs: { type: 'layers', diff_ids: [sha256(tar)] },
        history: [],
      }),
    ),
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layer }],
  };
  await registry.putManifest(repository, tag, { mediaType, bytes: Buffer.from(JSON.stringify(manifest)) });
}

async function pushBlob(registry: Registry, repository: string, bytes: Buffer) {
  const digest = sha256(bytes);
  await registry.writeBlob(repository, { digest, size: bytes.length, open: () => bytes });
  return { digest, size: bytes.length };
}
