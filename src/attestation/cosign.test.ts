import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findGoProgram } from '../../tools/go-programs.js';
import { debianRegistryHost } from '../../tools/test-machine/machine.ts';
import { sha256 } from '../lib/digest.ts';
import { createRegistryClient } from '../registry/client/client.ts';
import { createEmbeddedRegistry } from '../registry/embedded/embedded.ts';
import type { Registry } from '../registry/registry.ts';
import { noise, pushImage, testImage, type TestImage } from '../registry/testing/images.ts';
import { serve } from '../registry/testing/served.ts';
import { signedBytes, writeBundle } from './bundle.ts';
import type { Claim } from './predicates.ts';
import { bundlesOf, pushBundle, readBundleAt } from './referrer.ts';
import { sealedKeys } from './signers/key/key.ts';
import { PREDICATES, writeStatement } from './statement.ts';
import { CLAIMS } from './testing/claims.ts';
import { createVerifier } from './verify.ts';

const run = promisify(execFile);
const { path: cosign = '', missing } = findGoProgram('cosign');
if (missing !== undefined) process.stderr.write(`${missing}\n`);

const REPOSITORY = 'shop/web';
const signedAt = new Date(Date.UTC(2030, 0, 1));
const holder = sealedKeys(() => Promise.resolve('open sesame'));
const ours = await holder.make();
const other = await holder.make();

let directory: string;
const open: (() => Promise<void>)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-cosign-'));
  await writeFile(join(directory, 'ours.pub'), ours.pem);
  await writeFile(join(directory, 'other.pub'), other.pem);
  // whom else to trust: nobody, said in a file, for else cosign asks the Internet
  const trust = { mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' };
  await writeFile(join(directory, 'trust.json'), JSON.stringify(trust));
});
afterAll(async () => {
  for (const close of open) await close();
  await rm(directory, { recursive: true });
});

async function bundleOf(claim: Claim, image: TestImage, sequence: number): Promise<string> {
  const link = { sequence, previous: sequence === 1 ? null : 'ab'.repeat(32) };
  const statement = writeStatement({ ...claim, name: REPOSITORY, digest: image.digest, link });
  const signer = await holder.open(ours.held);
  return writeBundle({ statement, signature: await signer.sign(signedBytes(statement)), hint: ours.hint });
}

/** An image with one statement of each kind. */
async function signedImage(registry: Registry, seed: string): Promise<TestImage> {
  const image = await testImage([{ data: noise(1000, seed) }]);
  await pushImage(registry, REPOSITORY, image);
  let sequence = 0;
  for (const claim of Object.values(CLAIMS)) {
    const bundle = await bundleOf(claim, image, (sequence += 1));
    const pushed = { bundle, predicateType: claim.predicateType, signedAt };
    await pushBundle(registry, { repository: REPOSITORY, image }, pushed);
    await pushBundle(registry, { repository: REPOSITORY, image }, pushed);
  }
  return image;
}

async function embeddedRegistry(): Promise<Registry> {
  const served = await serve(async (host) => {
    const embedded = await createEmbeddedRegistry({ directory: join(directory, 'registry'), host });
    return (request, response) => void embedded.handle(request, response);
  });
  open.push(() => served.close());
  return createRegistryClient({ host: served.host });
}

describe.each([
  { name: 'the embedded registry', start: embeddedRegistry, fallback: false },
  {
    name: 'the registry of Debian, which has no referrers API',
    start: async () => createRegistryClient({ host: await debianRegistryHost() }),
    fallback: true,
  },
])('in $name', ({ start, fallback }) => {
  let registry: Registry;
  beforeAll(async () => {
    registry = await start();
  });

  test('each statement lies there once, is found, and is verified', async () => {
    const image = await signedImage(registry, `found ${Date.now()}`);
    const found = await bundlesOf(registry, REPOSITORY, image.digest);
    expect(found).toHaveLength(Object.keys(CLAIMS).length);
    const tags = await registry.tags(REPOSITORY);
    expect(tags.includes(image.digest.replace(':', '-'))).toBe(fallback);
    const verifier = createVerifier([{ ...ours, state: 'active' }]);
    const bundles = await Promise.all(found.map((manifest) => readBundleAt(registry, REPOSITORY, manifest)));
    const kinds = bundles.map((bundle) => verifier.verify(bundle ?? '', image.digest).kind);
    expect(new Set(kinds)).toEqual(new Set(['verified']));
    expect(await readBundleAt(registry, REPOSITORY, image.digest)).toBeNull();
    expect(await readBundleAt(registry, REPOSITORY, sha256('nothing'))).toBeNull();
  });

  test.runIf(missing === undefined)(
    'cosign accepts every kind, and refuses another key, another kind and an altered byte',
    async () => {
      const image = await signedImage(registry, `cosign ${Date.now()}`);
      const verify = (key: string, type: string, { digest } = image) =>
        run(
          cosign,
          [
            ['verify-attestation', '--key', `${key}.pub`, '--type', type],
            ['--insecure-ignore-tlog', '--trusted-root', 'trust.json'],
            `${registry.host}/${REPOSITORY}@${digest}`,
          ].flat(),
          { cwd: directory },
        );
      for (const type of Object.values(PREDICATES)) expect((await verify('ours', type)).stdout).toContain('payload');
      expect((await verify('ours', 'cyclonedx')).stdout).toContain('payload');
      await expect(verify('other', PREDICATES.test)).rejects.toThrow(/accepted signatures do not match/);
      await expect(verify('ours', 'https://towpath.dev/unheard-of/v1')).rejects.toThrow(/matched the predicate type/);

      const altered = await testImage([{ data: noise(1000, `altered ${Date.now()}`) }]);
      await pushImage(registry, REPOSITORY, altered);
      const claim = CLAIMS['passed'];
      if (claim === undefined) throw new Error('There is no such claim.');
      const bundle = JSON.parse(await bundleOf(claim, altered, 1)) as { dsseEnvelope: { payload: string } };
      const text = Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString('utf8').replace('"unit"', '"unis"');
      bundle.dsseEnvelope.payload = Buffer.from(text).toString('base64');
      const pushed = { bundle: JSON.stringify(bundle), predicateType: claim.predicateType, signedAt };
      await pushBundle(registry, { repository: REPOSITORY, image: altered }, pushed);
      await expect(verify('ours', PREDICATES.test, altered)).rejects.toThrow(/accepted signatures do not match/);
      expect(createVerifier([{ ...ours, state: 'active' }]).verify(pushed.bundle, altered.digest)).toEqual({
        kind: 'refused',
        flaw: 'wrong-signature',
      });
    },
  );
});
