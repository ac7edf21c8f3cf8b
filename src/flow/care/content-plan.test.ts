import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import { isDigest, sha256 } from '../../lib/digest.ts';
import { cases, within } from '../../lib/testing/cases.ts';
import { createEmbeddedRegistry } from '../../registry/embedded/embedded.ts';
import { age } from '../../registry/embedded/testing/age.ts';
import { pushBlob, pushImage, testImage, testIndex, testReferrer } from '../../registry/testing/images.ts';
import { planContent } from './content-plan.ts';
import { keyOf } from './content-roots.ts';

const HOUR_MS = 3_600_000;
const repository = 'shop/web';

const images = await Promise.all(['a', 'b', 'c', 'd'].map((name) => testImage([{ name }])));
const index = testIndex(images.slice(2));

async function world() {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-plan-'));
  const embedded = await createEmbeddedRegistry({ directory, host: 'registry.test' });
  const registry = embedded.registry();
  for (const image of images) await pushImage(registry, repository, image);
  await registry.putManifest(repository, index.digest, index);
  await pushBlob(registry, repository, Buffer.from('{}'));
  const speakers: string[] = [];
  for (const image of images.slice(1, 3)) {
    const referrer = testReferrer(image, 'application/vnd.towpath.test', 'x');
    speakers.push(await registry.putManifest(repository, sha256(referrer.bytes), referrer));
  }
  await age(directory);
  return { directory, registry, content: embedded.content(), speakers };
}

const all = [...images.map(({ digest }) => digest), index.digest];

test(
  'a plan says of each manifest what the sweep then does, whatever has a name, a root, or was used lately',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.subarray(all),
        fc.subarray(all),
        fc.subarray(all),
        fc.boolean(),
        async (named, rooted, young, told) => {
          const { directory, registry, content } = await world();
          try {
            for (const digest of named) await registry.tag(repository, digest, `t${digest.slice(7, 15)}`);
            await age(directory);
            for (const digest of young) {
              const path = join(directory, 'repositories', repository, '_manifests', digest.replace(':', '/'));
              await utimes(path, new Date(), new Date());
            }
            const roots = new Map(rooted.map((digest) => [keyOf({ repository, digest }), ['was built']]));
            const beforeMs = Date.now() - HOUR_MS;
            const known = await content.held();
            const verdicts = planContent(known, roots, beforeMs);
            expect(verdicts.every(({ reasons }) => reasons.length > 0)).toBe(true);
            await content.sweep({ kept: keptOf(rooted), beforeMs, known: told ? known : [] });
            const left = (await content.held()).map(({ digest }) => digest);
            const stays = verdicts.filter((one) => one.stays).map(({ held }) => held.digest);
            expect(left.sort()).toEqual(stays.sort());
            // what was used lately alone was pushed lately as a rule, with its blobs; here only its name is young
            for (const { stays: isNeeded, held } of planContent(known, roots, Date.now() + HOUR_MS))
              for (const blob of isNeeded ? (held.blobs ?? []) : [])
                expect(isDigest(blob) ? await registry.hasBlob(repository, blob) : null).not.toBeNull();
          } finally {
            await rm(directory, { recursive: true });
          }
        },
      ),
      cases(15),
    );
  },
  within(600_000),
);

test('each reason is said: a name, a root, the index it belongs to, what it speaks of', async () => {
  const { directory, registry, content, speakers } = await world();
  onTestFinished(() => rm(directory, { recursive: true }));
  const [a, b, c] = images;
  await registry.tag(repository, index.digest, 'v1');
  const roots = new Map([[keyOf({ repository, digest: b?.digest ?? '' }), ['runs in shop/prod']]]);
  const verdicts = planContent(await content.held(), roots, Date.now() + HOUR_MS);
  const said = Object.fromEntries(verdicts.map(({ held, reasons }) => [held.digest, reasons.join('; ')]));
  expect(said).toMatchObject({
    [index.digest]: 'is named v1',
    [b?.digest ?? '']: 'runs in shop/prod',
    [c?.digest ?? '']: `belongs to ${index.digest.slice(0, 19)}`,
    [speakers[0] ?? '']: `speaks of ${b?.digest.slice(0, 19)}`,
    [speakers[1] ?? '']: `speaks of ${c?.digest.slice(0, 19)}`,
    [a?.digest ?? '']: expect.stringContaining('has no name, and nothing has needed') as string,
  });
});

test('looking makes nothing younger', async () => {
  const { directory, content } = await world();
  onTestFinished(() => rm(directory, { recursive: true }));
  const before = await content.held();
  expect(await content.held()).toEqual(before);
  expect(Math.max(...before.map(({ usedMs }) => usedMs))).toBeLessThan(Date.now() - HOUR_MS);
});

async function* keptOf(digests: readonly string[]) {
  for (const digest of digests) yield { repository, digest };
}
