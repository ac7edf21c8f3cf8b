import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { noise } from '../testing/images.ts';
import { serve } from '../testing/served.ts';
import { createEmbeddedRegistry } from './embedded.ts';
import type { Limits } from './limits.ts';

async function limited(limits: Partial<Limits>) {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-limits-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const start = async () => {
    const embedded = await createEmbeddedRegistry({ directory, host: 'registry.test', limits });
    const served = await serve(() => (request, response) => void embedded.handle(request, response));
    onTestFinished(() => served.close());
    const ask = (method: string, path: string, init: RequestInit = {}) =>
      fetch(path.startsWith('http') ? path : `http://${served.host}/v2/${path}`, { method, ...init });
    const begin = async (repository: string) => {
      const answer = await ask('POST', `${repository}/blobs/uploads/`);
      return { answer, place: `http://${served.host}${answer.headers.get('location')}` };
    };
    return { embedded, ask, begin };
  };
  const uploads = async () =>
    (await readdir(join(directory, 'uploads'), { recursive: true, withFileTypes: true })).filter((one) => one.isFile());
  return { start, uploads };
}

async function errorOf(answer: Response) {
  const { errors } = (await answer.json()) as { errors: { code: string; message: string; detail: string }[] };
  return { status: answer.status, ...errors[0] };
}

const TOO_LARGE = { status: 413, code: 'SIZE_INVALID', detail: expect.stringContaining('TOWPATH_REGISTRY_BLOB_MB') };

test('a blob may be as large as the limit and no larger, however it comes, and nothing is left of what was refused', async () => {
  const { start, uploads } = await limited({ blobBytes: 100_000 });
  const { ask, begin } = await start();
  const [fits, large] = [noise(100_000), noise(100_001)];
  const whole = (bytes: Buffer) => ask('POST', `a/app/blobs/uploads/?digest=${sha256(bytes)}`, { body: bytes });
  expect((await whole(fits)).status).toBe(201);
  expect(await errorOf(await whole(large))).toMatchObject(TOO_LARGE);
  const { place } = await begin('a/app');
  expect((await ask('PATCH', place, { body: fits })).status).toBe(202);
  expect(await errorOf(await ask('PATCH', place, { body: Buffer.from('x') }))).toMatchObject(TOO_LARGE);
  expect((await ask('GET', place)).status).toBe(404);
  expect(await uploads()).toEqual([]);
});

test('a project has so many uploads under way, also after a restart; others have their own', async () => {
  const { start } = await limited({ uploadsPerProject: 2 });
  const { begin } = await start();
  await begin('shop/web');
  const { place } = await begin('shop/api');
  const again = await start();
  expect(await errorOf((await again.begin('shop/web')).answer)).toMatchObject({ status: 429, code: 'TOOMANYREQUESTS' });
  expect((await again.begin('shopping/web')).answer.status).toBe(202);
  expect((await again.ask('DELETE', place)).status).toBe(204);
  expect((await again.begin('shop/web')).answer.status).toBe(202);
});

test('an answer holds so many tags, whatever was asked, and links the others', async () => {
  const { start } = await limited({ namesPerPage: 2 });
  const { embedded, ask } = await start();
  const registry = embedded.registry();
  const config = Buffer.from('{}');
  await registry.writeBlob('a/app', { digest: sha256(config), size: config.length, open: () => config });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const descriptor = { mediaType: 'application/json', digest: sha256(config), size: config.length };
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: descriptor, layers: [] }));
  for (const tag of ['a', 'b', 'c']) await registry.putManifest('a/app', tag, { mediaType, bytes });
  for (const query of ['', '?n=100']) {
    const answer = await ask('GET', `a/app/tags/list${query}`);
    expect(await answer.json()).toEqual({ name: 'a/app', tags: ['a', 'b'] });
    expect(answer.headers.get('link')).toBe('</v2/a/app/tags/list?n=2&last=b>; rel="next"');
  }
  expect(await (await ask('GET', 'a/app/tags/list?n=2&last=b')).json()).toEqual({ name: 'a/app', tags: ['c'] });
});
