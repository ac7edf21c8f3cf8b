import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findGoProgram } from '../../tools/go-programs.js';
import { signedBytes, writeBundle } from '../attestation/bundle.ts';
import type { Claim } from '../attestation/predicates.ts';
import { pushBundle } from '../attestation/referrer.ts';
import { sealedKeys } from '../attestation/signers/key/key.ts';
import { hexOf } from '../lib/digest.ts';
import { answerOf, factsOf } from '../path/testing/facts.ts';
import { answerClaim, policyOfFacts, textsOf } from '../path/testing/stated.ts';
import { createRegistryClient } from '../registry/client/client.ts';
import { createEmbeddedRegistry } from '../registry/embedded/embedded.ts';
import type { Registry } from '../registry/registry.ts';
import { noise, pushImage, testImage, type TestImage } from '../registry/testing/images.ts';
import { serve, type Served } from '../registry/testing/served.ts';
import { runLine } from './testing/run.ts';

const holder = sealedKeys(() => Promise.resolve('open sesame'));
const ours = await holder.make();
const other = await holder.make();
const at = Date.UTC(2026, 10, 20, 8);

let directory: string;
let served: Served;
let registry: Registry;
let good: TestImage;

const gated = policyOfFacts(
  factsOf({
    environment: { name: 'prod', gates: [{ kind: 'check', name: 'unit' }] },
    evidence: { unit: [answerOf(null)] },
  }),
  'web',
  at,
);

async function stated(seed: string, claims: readonly Claim[]): Promise<TestImage> {
  const image = await testImage([{ data: noise(1000, seed) }]);
  await pushImage(registry, 'shop/web', image, seed);
  const signer = await holder.open(ours.held);
  for (const [i, text] of textsOf(claims, { digest: image.digest }).entries()) {
    const bundle = writeBundle({ statement: text, signature: await signer.sign(signedBytes(text)), hint: ours.hint });
    const { predicateType = '' } = claims[i] ?? {};
    await pushBundle(registry, { repository: 'shop/web', image }, { bundle, predicateType, signedAt: new Date(at) });
  }
  return image;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-verify-'));
  served = await serve(async (host) => {
    const embedded = await createEmbeddedRegistry({ directory: join(directory, 'registry'), host });
    return (request, response) => void embedded.handle(request, response);
  });
  registry = createRegistryClient({ host: served.host });
  await writeFile(join(directory, 'ours.pub'), ours.pem);
  await writeFile(join(directory, 'other.pub'), other.pem);
  const keys = [other, ours].map(({ hint, pem }, i) => ({ hint, pem, state: i === 0 ? 'active' : 'revoked' }));
  await writeFile(join(directory, 'keys.json'), JSON.stringify({ keys }));
  good = await stated('good', [answerClaim('passed', { at }), gated]);
});
afterAll(async () => {
  await served.close();
  await rm(directory, { recursive: true });
});

/** `KEYS` stands for the folder that has them. */
async function verify(image: string, line: string) {
  return runLine(['verify', image, ...line.replaceAll('KEYS', directory).split(' ')]);
}

test('an image may go in by what is beside it, named by its digest or a tag', async () => {
  const { exit, out, err } = await verify(
    `${served.host}/shop/web@${good.digest}`,
    '--for prod --key KEYS/other.pub --key KEYS/ours.pub',
  );
  expect({ exit, err }).toEqual({ exit: 0, err: '' });
  expect(out.split('\n')).toEqual([
    `shop/web@${good.digest}`,
    'prod lets it in',
    '  ok  unit: unit passed: web: passed',
    '      unit of web passed 2026-11-20T08:00:00.000Z, statement 1',
    expect.stringMatching(
      /^ {2}\(What prod asks was stated at 2026-11-20T08:00:00.000Z, for 4f2a91c .*--max-age bounds it/,
    ),
    '  (The release has other images, each decided by itself: api.)',
    '',
  ]);
  expect((await verify(`${served.host}/shop/web:good`, '--for prod --key KEYS/ours.pub')).exit).toBe(0);
});

test('the registry of the server that commands ask takes their token, which no other is shown', async () => {
  const embedded = await createEmbeddedRegistry({ directory: join(directory, 'registry'), host: 'registry.test' });
  const shown = new Set<string | undefined>();
  const guarded = await serve(() => (request, response) => {
    shown.add(request.headers.authorization);
    if (request.headers.authorization === `Basic ${btoa('towpath:twp_mine')}`) void embedded.handle(request, response);
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="towpath"' }).end();
  });
  const asked = async (server: string) => {
    const words = ['verify', `${guarded.host}/shop/web:good`, '--for', 'prod', '--key', join(directory, 'ours.pub')];
    return (await runLine(words, { env: { TOWPATH_SERVER: server, TOWPATH_TOKEN: 'twp_mine' } })).exit;
  };
  expect(await asked('http://127.0.0.1:1')).toBe(1);
  expect([...shown]).toEqual([undefined]);
  expect(await asked(`http://${guarded.host}`)).toBe(0);
  await guarded.close();
});

test('it says no or not yet by its exit code, and why', async () => {
  const image = `${served.host}/shop/web:good`;
  const old = await verify(image, '--for prod --key KEYS/ours.pub --max-age 30m');
  expect(old).toMatchObject({ exit: 75, out: expect.stringContaining('and may be at most 30m old') });
  const elsewhere = await verify(image, '--for demo --key KEYS/ours.pub');
  expect(elsewhere).toMatchObject({ exit: 3, out: expect.stringContaining('Nothing is stated of what demo asks') });
  await stated('bad', [answerClaim('passed', { at }), gated, answerClaim('failed', { at: at + 1 })]);
  const bad = await verify(`${served.host}/shop/web:bad`, '--for prod --key KEYS/ours.pub --json');
  expect(bad.exit).toBe(3);
  expect(JSON.parse(bad.out)).toMatchObject({
    verdict: 'refuse',
    lines: [{ gate: 'unit', verdict: 'refuse', evidence: [{ id: 'statement 3', verdict: 'failed' }] }],
    statements: { counted: 3, flaws: {} },
  });
});

test('a key that was not given, or was revoked, counts for nothing; a revoked one also where another file calls it sound', async () => {
  const image = `${served.host}/shop/web:good`;
  const nothing = 'Nothing that counts is stated about this image.';
  const unknown = await verify(image, '--for prod --key KEYS/other.pub');
  expect(unknown).toMatchObject({ exit: 3, out: expect.stringContaining(nothing) });
  expect(unknown.out).toContain('(2 beside it do not count: signed by a key that was not given.)');
  for (const keys of ['--key KEYS/keys.json --key KEYS/ours.pub', '--key KEYS/ours.pub --revoked KEYS/ours.pub']) {
    const revoked = await verify(image, `--for prod ${keys}`);
    expect(revoked).toMatchObject({ exit: 3, out: expect.stringContaining('signed by a key that was revoked') });
  }
  expect(await verify(image, '--for prod --key KEYS/registry')).toMatchObject({ exit: 1 });
  expect(await verify(image, '--for prod')).toMatchObject({ exit: 64 });
});

test('an image that lies under another name is found by the name that it was stated under', async () => {
  await pushImage(registry, 'mirror/of/web', good, 'good');
  const from = await registry.referrers('shop/web', good.digest);
  for (const { digest } of from) {
    const manifest = await registry.manifest('shop/web', digest);
    if (manifest === null) throw new Error('It is gone.');
    const { layers, config } = JSON.parse(manifest.bytes.toString()) as {
      layers: [typeof config];
      config: { digest: typeof digest };
    };
    for (const blob of [config, ...layers]) await registry.mountBlob('mirror/of/web', blob.digest, 'shop/web');
    await registry.putManifest('mirror/of/web', digest, manifest);
  }
  const image = `${served.host}/mirror/of/web:good`;
  expect((await verify(image, '--for prod --key KEYS/ours.pub')).out).toContain('Nothing that counts');
  expect((await verify(image, '--for prod --key KEYS/ours.pub --name shop/web')).exit).toBe(0);
  expect((await verify(`${served.host}/shop/web:gone`, '--for prod --key KEYS/ours.pub')).exit).toBe(1);
});

const { path: oras = '', missing } = findGoProgram('oras');
if (missing !== undefined) process.stderr.write(`${missing}\n`);

describe.runIf(missing === undefined)('a layout that oras wrote', () => {
  test('is decided of without a network; what is taken out of it is missed', async () => {
    const layout = join(directory, 'layout');
    const from = `${served.host}/shop/web@${good.digest}`;
    const words = ['cp', '--recursive', '--from-plain-http', '--to-oci-layout', from, `${layout}:good`];
    await promisify(execFile)(oras, words);
    const line = '--for prod --key KEYS/ours.pub --offline --name shop/web';
    for (const image of [layout, `${layout}:good`, `${layout}@${good.digest}`])
      expect(await verify(image, line)).toMatchObject({ exit: 0, out: expect.stringContaining('prod lets it in') });
    expect(await verify(layout, '--for prod --key KEYS/ours.pub --offline')).toMatchObject({ exit: 64 });
    expect((await verify(`${layout}:other`, line)).exit).toBe(1);
    expect((await verify(directory, line)).err).toContain('no OCI image layout');

    const blobs = join(layout, 'blobs', 'sha256');
    const [first] = await registry.referrers('shop/web', good.digest);
    const path = join(blobs, hexOf(first?.digest ?? good.digest));
    const whole = await readFile(path);
    for (const spoil of [
      () => rm(path),
      () => truncate(path, 10),
      () => writeFile(path, whole.toString().replace('{', '{ ')),
    ]) {
      await spoil();
      expect((await verify(layout, line)).exit).not.toBe(0);
      await writeFile(path, whole);
    }
    expect(await readdir(blobs)).toContain(hexOf(good.digest));
    expect((await verify(layout, line)).exit).toBe(0);
  });
});
