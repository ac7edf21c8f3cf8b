import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import type { Digest } from '../lib/digest.ts';
import { applyTags, imageTagOf, isImmutableTag, planTags } from './image-names.ts';
import type { ImageName } from './image-names.ts';
import { isTag } from './reference.ts';
import type { Registry } from './registry.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1 }),
  fc.stringMatching(/^(env-|git_|v|sha256-)?[a-zA-Z0-9._/-]{1,60}$/),
);
const sha = fc.stringMatching(/^[0-9a-f]{40}$/);
const anyName: fc.Arbitrary<ImageName> = fc.oneof(
  text.map((branch) => ({ kind: 'branch' as const, branch })),
  sha.map((commit) => ({ kind: 'commit' as const, commit })),
  text.map((tag) => ({ kind: 'tag' as const, tag })),
  text.map((environment) => ({ kind: 'environment' as const, environment })),
);

test('every name is an image tag, and only the name of a git tag never moves', () => {
  fc.assert(
    fc.property(anyName, (name) => {
      expect(isTag(imageTagOf(name))).toBe(true);
      expect(isImmutableTag(imageTagOf(name))).toBe(name.kind === 'tag');
    }),
  );
});

test('two git tags never share an image tag', () => {
  fc.assert(
    fc.property(text, text, (one, other) => {
      const [first, second] = [one, other].map((tag) => imageTagOf({ kind: 'tag', tag }));
      expect(first === second).toBe(one === other);
    }),
  );
});

test('names read as people expect', () => {
  expect(imageTagOf({ kind: 'tag', tag: 'v1.2.0' })).toBe('v1.2.0');
  expect(imageTagOf({ kind: 'tag', tag: 'rc-1' })).toBe('rc-1');
  expect(imageTagOf({ kind: 'tag', tag: 'release/1.0' })).toMatch(/^git_release-1-0-[0-9a-f]{8}$/);
  expect(imageTagOf({ kind: 'tag', tag: 'env-prod' })).toMatch(/^git_env-prod-[0-9a-f]{8}$/);
  expect(imageTagOf({ kind: 'branch', branch: 'feature/basket' })).toMatch(/^feature-basket-[0-9a-f]{8}$/);
  expect(imageTagOf({ kind: 'commit', commit: '4f2a91c04f2a91c04f2a91c04f2a91c04f2a91c0' })).toBe('4f2a91c04f2a');
  expect(imageTagOf({ kind: 'environment', environment: 'prod' })).toBe('env-prod');
});

test('a git tag that names another digest is refused before any name moves', async () => {
  const registry = tagsOnly({ 'v1.0.0': sha256('old') });
  const plans = planTags('shop/web', sha256('new'), [
    { kind: 'environment', environment: 'prod' },
    { kind: 'tag', tag: 'v1.0.0' },
  ]);
  await expect(applyTags(plans, registry)).rejects.toMatchObject({ code: 'registry.tag-immutable' });
  expect(registry.named).toEqual({ 'v1.0.0': sha256('old') });
});

test('names are given twice as they are given once', async () => {
  const registry = tagsOnly({});
  const plans = planTags('shop/web', sha256('new'), [
    { kind: 'branch', branch: 'main' },
    { kind: 'tag', tag: 'v1.0.0' },
    { kind: 'tag', tag: 'v1.0.0' },
  ]);
  await applyTags(plans, registry);
  const once = { ...registry.named };
  await applyTags(plans, registry);
  expect(registry.named).toEqual(once);
  expect(Object.values(once)).toEqual([sha256('new'), sha256('new')]);
});

/** As much of a registry as naming needs. */
function tagsOnly(named: Record<string, Digest>): Registry & { named: Record<string, Digest> } {
  const never = async (): Promise<never> => Promise.reject(new Error('Naming an image moves no content.'));
  return {
    named,
    host: 'registry.test',
    manifest: async (_, reference) => {
      const digest = named[reference];
      return digest === undefined ? null : { digest, mediaType: '', bytes: Buffer.alloc(0) };
    },
    tag: async (_, digest, tag) => {
      named[tag] = digest;
      return 'tagged';
    },
    putManifest: never,
    hasBlob: never,
    readBlob: never,
    writeBlob: never,
    mountBlob: never,
    tags: never,
    deleteManifest: never,
    referrers: never,
  };
}
