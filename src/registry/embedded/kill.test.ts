import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { request } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { isDigest, sha256 } from '../../lib/digest.ts';
import { bundle, startProgram } from '../../store/testing/program.ts';
import { createRegistryClient } from '../client/client.ts';
import { parseManifest } from '../manifest.ts';
import { noise } from '../testing/images.ts';
import { createEmbeddedRegistry } from './embedded.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-killed-'));
});
afterEach(async () => rm(directory, { recursive: true }));

const program = async (name: string) => bundle(fileURLToPath(new URL(`testing/${name}.ts`, import.meta.url)));

test('an upload goes on in the same session after the registry was killed in the midst of it', async () => {
  const file = await program('server');
  const first = startProgram(file, [directory]);
  const port = (await first.line((line) => line.startsWith('listening'))).split(' ')[1] ?? '';
  const bytes = noise(6_000_000, 'killed');
  let killed = false;
  let second = first;
  // The kill comes when the registry has said that half of the upload lies on its disk.
  async function* halting(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += 100_000) {
      if (at === 3_000_000 && !killed) {
        const post = await first.line((line) => line.startsWith('PATCH'));
        await standing(`http://127.0.0.1:${port}${post.split(' ')[1]}`, 2_500_000);
        killed = true;
        first.kill('SIGKILL');
        await first.ended;
      }
      yield bytes.subarray(at, at + 100_000);
    }
  }
  const registry = createRegistryClient({
    host: `127.0.0.1:${port}`,
    retry: {
      wait: async () => {
        if (second === first) second = startProgram(file, [directory, port]);
        await second.line((line) => line.startsWith('listening'));
      },
    },
  });
  const open = () => Readable.from(halting(), { objectMode: false });
  await registry.writeBlob('killed/app', { digest: sha256(bytes), size: bytes.length, open });
  expect((await buffer(await registry.readBlob('killed/app', sha256(bytes)))).equals(bytes)).toBe(true);
  expect(second.lines.some((line) => line.startsWith('POST'))).toBe(false);
  const [, start] = / (\d+)-5999999$/.exec(second.lines.find((line) => line.startsWith('PATCH')) ?? '') ?? [];
  expect(Number(start)).toBeGreaterThanOrEqual(2_500_000);
  expect(await readdir(join(directory, 'uploads', 'killed+app'))).toEqual([]);
});

test('whatever a killed writer said was done is there whole, and nothing is there in part', async () => {
  const file = await program('writer');
  const done: [string, string][] = [];
  for (let round = 0; round < 6; round++) {
    const writer = startProgram(file, [directory, `${round}`]);
    await writer.line((line) => line.startsWith(`done t-${round}-${round}`));
    writer.kill('SIGKILL');
    await writer.ended;
    done.push(...writer.lines.map((line): [string, string] => [line.split(' ')[1] ?? '', line.split(' ')[2] ?? '']));
  }
  const registry = (await createEmbeddedRegistry({ directory, host: 'localhost' })).registry();
  for (const [tag, digest] of done) expect((await registry.manifest('killed/app', tag))?.digest).toBe(digest);
  const tags = await registry.tags('killed/app');
  expect(tags).toContain('main');
  for (const tag of tags) {
    const manifest = await registry.manifest('killed/app', tag);
    expect(manifest).not.toBeNull();
    for (const blob of parseManifest(manifest?.bytes ?? Buffer.alloc(0), null).blobs) {
      if (!isDigest(blob.digest)) throw new Error('All that the writer pushed is sha256.');
      const stored = await buffer(await registry.readBlob('killed/app', blob.digest)); // checked on the way
      expect(stored.length).toBe(blob.size);
    }
  }
});

async function standing(upload: string, bytes: number): Promise<void> {
  for (;;) {
    const response = await request(upload);
    await response.body.dump();
    if (Number(String(response.headers['range']).split('-')[1]) >= bytes) return;
  }
}
