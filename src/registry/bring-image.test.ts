import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { type Digest, sha256 } from '../lib/digest.ts';
import { createRegistryClient } from './client/client.ts';
import { bringImage, type CopiedBlob, type Place } from './copy-image.ts';
import { createEmbeddedRegistry } from './embedded/embedded.ts';
import type { Registry } from './registry.ts';
import { startClosedRegistry } from './testing/debian-registry.ts';
import { noise, pushBlob, pushImage, testImage, testIndex, testReferrer } from './testing/images.ts';
import type { Served } from './testing/served.ts';
import { verified } from './verified.ts';
import { isWhole } from './whole-image.ts';

const robot = { kind: 'basic' as const, username: 'robot', password: 'canary-secret' };
const never = new AbortController().signal;

let directory: string;
let ours: Registry;
let debian: Served;
let theirs: Registry;
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-bring-'));
  ours = (await createEmbeddedRegistry({ directory, host: 'registry.test', immutable: () => false })).registry();
  // bcrypt of `canary-secret`
  const htpasswd = 'robot:$2b$05$abcdefghijklmnopqrstuu3PYrq6m/qxbNlTuN4B34JSamOsjZkKu';
  debian = await startClosedRegistry({ htpasswd });
  theirs = clientOf(debian.host);
});
afterAll(async () => {
  await debian.close();
  await rm(directory, { recursive: true });
});

test('an index comes with its images and with what is signed about it, once; what is signed later comes alone', async () => {
  const { from, to, digest, images } = await indexed();
  const subject = {
    ...(await testImage([{}])),
    bytes: (await ours.manifest(from.repository, digest))?.bytes ?? noise(1),
  };
  await say(from, subject, 'first');
  expect(countOf(await bring(from, to, digest))).toEqual({ copied: 6, mounted: 0, there: 0 });
  for (const one of [digest, ...images]) expect(await isWhole(theirs, to.repository, one)).toBe(true);
  expect(await said(to, digest)).toHaveLength(1);
  expect(await bring(from, to, digest)).toEqual([]);
  await say(from, subject, 'second');
  expect(await bring(from, to, digest)).toEqual([]);
  expect(await said(to, digest)).toEqual(await said(from, digest));
});

test('within one registry content is mounted, and what is there already stays', async () => {
  const { from: ownPlace, to: from, digest } = await indexed();
  await bring(ownPlace, from, digest);
  const to = { registry: theirs, repository: `prod/${from.repository}` };
  expect(countOf(await bring(from, to, digest))).toEqual({ copied: 0, mounted: 6, there: 0 });
});

test('a registry that goes away in the middle keeps what it has, and the next try copies only the rest', async () => {
  const { from, digest } = await indexed();
  const relay = await startRelay(debian.host);
  try {
    const to = { registry: clientOf(relay.host), repository: `relayed/${from.repository}` };
    const before: CopiedBlob[] = [];
    const told = (blob: CopiedBlob): void => {
      before.push(blob);
      if (before.length === 2) relay.cut();
    };
    await expect(bringImage(from, to, digest, { signal: never, told })).rejects.toMatchObject({
      code: 'registry.unreachable',
    });
    relay.mend();
    const rest = countOf(await bring(from, to, digest));
    expect(rest.there).toBeGreaterThanOrEqual(2);
    expect(rest.copied).toBe(6 - rest.there);
    expect(await isWhole(to.registry, to.repository, digest)).toBe(true);
  } finally {
    await relay.close();
  }
});

test('a blob that is not what its digest says never arrives, and what is read back as something else is refused', async () => {
  const { from, to, digest } = await indexed();
  const lying = { ...from, registry: { ...ours, readBlob: createLie } };
  await expect(bring(lying, to, digest)).rejects.toMatchObject({ code: 'registry.digest-mismatch' });
  expect(await theirs.manifest(to.repository, digest)).toBeNull();
  const other = await indexed();
  const changing: Registry = {
    ...theirs,
    manifest: async (repository) => theirs.manifest(repository, 'missing'), // forgets what it took
  };
  await expect(bring(other.from, { ...other.to, registry: changing }, other.digest)).rejects.toMatchObject({
    code: 'registry.copy-differs',
  });
});

test('called off, it ends in the midst of a blob', async () => {
  const { from, to, digest } = await indexed();
  const stop = new AbortController();
  const readBlob = async (): Promise<Readable> => {
    const chunks = [Buffer.from('so much')];
    return new Readable({
      read() {
        const [chunk] = chunks.splice(0);
        if (chunk === undefined) stop.abort(new Error('called off')); // and nothing more comes
        else this.push(chunk);
      },
    });
  };
  const endless = { ...from, registry: { ...ours, readBlob } };
  await expect(bringImage(endless, to, digest, { signal: stop.signal })).rejects.toThrow('called off');
});

test('what ours does not have any more is told, unless it lies there whole', async () => {
  const { from, to, digest } = await indexed();
  await bring(from, to, digest);
  const empty = { registry: ours, repository: 'shop/nothing' };
  expect(await bring(empty, to, digest)).toEqual([]);
  await expect(bring(empty, to, sha256('another'))).rejects.toMatchObject({ code: 'registry.not-found' });
});

/** An index of two images, each of a configuration and two layers of its own, in ours. */
async function indexed(): Promise<{ from: Place; to: Place; digest: Digest; images: readonly Digest[] }> {
  const repository = `shop/web-${++count}`;
  const made = await Promise.all(
    ['amd64', 'arm64'].map((name) =>
      testImage([{ [name]: noise(50_000, `${name}${count}`) }, { more: noise(9_000, `more ${name}${count}`) }]),
    ),
  );
  for (const image of made) await pushImage(ours, repository, image);
  const index = testIndex(made);
  const digest = await ours.putManifest(repository, index.digest, index);
  const place = (registry: Registry): Place => ({ registry, repository });
  return { from: place(ours), to: place(theirs), digest, images: made.map((image) => image.digest) };
}

async function bring(from: Place, to: Place, digest: Digest): Promise<CopiedBlob[]> {
  const blobs: CopiedBlob[] = [];
  await bringImage(from, to, digest, { signal: never, told: (blob) => blobs.push(blob) });
  return blobs;
}

function countOf(blobs: readonly CopiedBlob[]): Record<CopiedBlob['how'], number> {
  const all = { copied: 0, mounted: 0, there: 0 };
  for (const { how } of blobs) all[how] += 1;
  return all;
}

async function say({ registry, repository }: Place, subject: Parameters<typeof testReferrer>[0], note: string) {
  await pushBlob(registry, repository, Buffer.from('{}'));
  const statement = testReferrer(subject, 'application/vnd.test', note);
  await registry.putManifest(repository, sha256(statement.bytes), statement);
}

async function said({ registry, repository }: Place, digest: Digest): Promise<string[]> {
  return (await registry.referrers(repository, digest)).map((one) => one.digest).toSorted();
}

async function createLie(repository: string, digest: Digest): Promise<Readable> {
  const size = (await ours.hasBlob(repository, digest)) ?? 0;
  return Readable.from(verified(Readable.from([noise(size, 'a lie')]), digest), { objectMode: false });
}

function clientOf(host: string): Registry {
  return createRegistryClient({ host, credentials: async () => robot, retry: { attempts: 1 } });
}

/** Leads to a host until it is cut. */
async function startRelay(to: string) {
  const sockets = new Set<Socket>();
  let isCut = false;
  const [hostname = '', port] = to.split(':');
  const server = createServer((socket) => {
    if (isCut) return socket.destroy();
    const far = connect(Number(port), hostname);
    socket.pipe(far).pipe(socket);
    for (const end of [socket, far]) {
      sockets.add(end);
      end.on('error', () => undefined);
      end.on('close', () => [socket, far].map((one) => one.destroy()));
    }
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    mend: () => {
      isCut = false;
    },
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
