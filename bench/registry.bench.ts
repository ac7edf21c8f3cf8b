import { createCipheriv, createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { sha256 } from '../src/lib/digest.ts';
import type { Digest } from '../src/lib/digest.ts';
import { each } from '../src/lib/each.ts';
import { createRegistryClient } from '../src/registry/client/client.ts';
import { OCI_MANIFEST } from '../src/registry/manifest.ts';
import type { Registry } from '../src/registry/registry.ts';
import { startCncfRegistry } from './cncf-registry.ts';
import { alternate, median } from './figure.ts';
import type { Contender, Figure } from './figure.ts';
import { removeTowpath, startTowpath } from './towpath.ts';

const REPOSITORY = 'bench/registry';
const ROUNDS = 5;
const LAYERS = 5;
const LAYER_BYTES = 100e6;
/** As docker does it. */
const LAYERS_AT_ONCE = 3;
const RETAGS = 1000;
const RETAGS_IN_FLIGHT = 16;
const CHUNK_BYTES = 1024 * 1024;
const LARGE_CHUNKS = 2048;

interface Contestant {
  readonly name: 'towpath' | 'cncf';
  /** Each with connections, and a pass, of its own. */
  readonly clients: readonly Registry[];
}

/**
 * The embedded registry against the CNCF's, on one disk, by one client over HTTP, in turn. Towpath's is asked through its
 * door, with a token as users have it; the other is open, as it comes.
 */
export async function run(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-bench-registry-'));
  const data = join(directory, 'towpath');
  const server = await startTowpath(data);
  const cncf = await startCncfRegistry(directory);
  try {
    const token = (await readFile(join(data, 'token'), 'utf8')).trim();
    const address = (await readFile(join(data, 'server'), 'utf8')).trim();
    const credentials = async () => ({ kind: 'basic' as const, username: 'bench', password: token });
    const clients = (host: string, more: { credentials?: typeof credentials }) =>
      Array.from({ length: RETAGS_IN_FLIGHT }, () => createRegistryClient({ host, ...more }));
    const towpath: Contestant = { name: 'towpath', clients: clients(new URL(address).host, { credentials }) };
    const all = [towpath, ...(cncf === null ? [] : [{ name: 'cncf' as const, clients: clients(cncf.host, {}) }])];
    return [
      ...compared('push.500mb', await alternate(ROUNDS, all.map(pushing)), 1.2),
      ...compared('pull.500mb', await alternate(ROUNDS, all.map(pulling)), 1),
      ...compared('retag.1000', await alternate(ROUNDS, all.map(retagging)), 1),
      ...(await memory(towpath, server.process.pid ?? 0)),
    ];
  } finally {
    await cncf?.stop();
    await server.stop();
    await removeTowpath(data);
    await rm(directory, { recursive: true, force: true });
  }
}

function compared(what: string, times: Partial<Record<string, number[]>>, goal: number): Figure[] {
  const [ours, theirs] = [median(times['towpath'] ?? []), times['cncf']];
  const name = `registry.${what}`;
  if (theirs === undefined) return [{ name, value: ours, unit: 'ms' }];
  return [
    { name, value: ours, unit: 'ms' },
    { name: `${name}.cncf`, value: median(theirs), unit: 'ms' },
    { name: `${name}.vs-cncf`, value: ours / median(theirs), unit: 'x', goal: { op: '<=', value: goal } },
  ];
}

type Contest = (contestant: Contestant) => Contender & { readonly name: Contestant['name'] };

/** Each time another image, or nothing would be sent. */
const pushing: Contest = ({ name, clients }) => {
  let round = 0;
  let layers: { digest: Digest; content: Buffer }[] = [];
  return {
    name,
    prepare: async () => {
      round += 1;
      layers = Array.from({ length: LAYERS }, (_, i) => {
        const content = noise(LAYER_BYTES, `${name} ${round} ${i}`);
        return { digest: sha256(content), content };
      });
    },
    run: async () => pushImage(clients[0], layers, 'latest'),
  };
};

const pulling: Contest = ({ name, clients: [client] }) => ({
  name,
  run: async () => {
    const manifest = await client?.manifest(REPOSITORY, 'latest');
    const { layers } = JSON.parse(manifest?.bytes.toString() ?? '') as { layers: { digest: Digest }[] };
    await each(layers, LAYERS_AT_ONCE, async ({ digest }) => read(client, digest));
  },
});

/** Each client has an image of its own: the CNCF's answers 500 to reads of a manifest while it is being tagged. */
const retagging: Contest = ({ name, clients }) => {
  const images = new Map<Registry, Digest>();
  let count = 0;
  return {
    name,
    prepare: async () => {
      for (const [n, client] of clients.entries()) {
        const content = Buffer.from(`small ${n}`);
        if (!images.has(client))
          images.set(client, await pushImage(client, [{ digest: sha256(content), content }], 'latest'));
      }
    },
    run: async () =>
      each([...images], clients.length, async ([client, digest]) => {
        for (let n = 0; n < RETAGS / clients.length; n++) await client.tag(REPOSITORY, digest, `t${++count}`);
      }),
  };
};

/** What the server takes at most while a layer of 2 GB comes, and while it goes. The layer is one MiB, many times over. */
async function memory({ clients: [client] }: Contestant, pid: number): Promise<Figure[]> {
  const chunk = noise(CHUNK_BYTES, 'large');
  const hash = createHash('sha256');
  for (let i = 0; i < LARGE_CHUNKS; i++) hash.update(chunk);
  const digest: Digest = `sha256:${hash.digest('hex')}`;
  const open = () =>
    Readable.from(
      Array.from({ length: LARGE_CHUNKS }, () => chunk),
      { objectMode: false },
    );
  const push = await peakMb(pid, async () =>
    client?.writeBlob(REPOSITORY, { digest, size: CHUNK_BYTES * LARGE_CHUNKS, open }),
  );
  const pull = await peakMb(pid, async () => read(client, digest));
  const goal = { op: '<=' as const, value: PEAK_MB };
  return [
    { name: 'registry.push.2gb.peak-rss', value: push, unit: 'MB', goal },
    { name: 'registry.pull.2gb.peak-rss', value: pull, unit: 'MB', goal },
  ];
}

/** A server that does nothing has some 150 MB, buffers of a stream that is not waited for would be 2 GB. */
const PEAK_MB = 300;

async function peakMb(pid: number, work: () => Promise<unknown>): Promise<number> {
  await writeFile(`/proc/${pid}/clear_refs`, '5'); // the high-water mark begins anew
  await work();
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return (Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024) / 1e6;
}

async function pushImage(
  client: Registry | undefined,
  layers: readonly { digest: Digest; content: Buffer }[],
  tag: string,
): Promise<Digest> {
  if (client === undefined) throw new Error('There is nobody to push to.');
  const write = async (digest: Digest, content: Buffer) =>
    client.writeBlob(REPOSITORY, { digest, size: content.length, open: () => content });
  await each(layers, LAYERS_AT_ONCE, async ({ digest, content }) => write(digest, content));
  const config = Buffer.from(
    JSON.stringify({ rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) } }),
  );
  await write(sha256(config), config);
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: config.length },
      layers: layers.map(({ digest, content }) => ({
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest,
        size: content.length,
      })),
    }),
  );
  return client.putManifest(REPOSITORY, tag, { mediaType: OCI_MANIFEST, bytes });
}

async function read(client: Registry | undefined, digest: Digest): Promise<void> {
  const content = await client?.readBlob(REPOSITORY, digest);
  for await (const _ of content ?? []) continue;
}

/** The key stream of a cipher: as good as chance, quick, and the same each time. */
function noise(bytes: number, seed: string): Buffer {
  const key = Buffer.from(sha256(seed).slice(7, 39));
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}
