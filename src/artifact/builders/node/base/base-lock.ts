import { z } from 'zod';

import { isDigest } from '../../../../lib/digest.ts';
import type { Digest } from '../../../../lib/digest.ts';
import json from './node-base.lock.json' with { type: 'json' };

const Digest = z.custom<Digest>(isDigest, 'a sha256 digest');

const DebianFile = z.object({
  name: z.string(),
  version: z.string(),
  /** Below the root of an archive's mirror: `pool/main/...`. */
  path: z.string().regex(/^pool\/[\w./+~%-]+\.deb$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.number().int().positive(),
});
export type DebianFile = z.infer<typeof DebianFile>;

const NpmFile = z.object({ name: z.string(), version: z.string(), integrity: z.string() });
export type NpmFile = z.infer<typeof NpmFile>;

/** Every byte that the default base images are made of, and the identity of each image that this gives. */
export const BaseLock = z.object({
  version: z.literal(1),
  debian: z.object({ suite: z.string(), snapshot: z.string().regex(/^\d{8}T\d{6}Z$/) }),
  /** Runs `npm ci` where the lock file is not enough. */
  npm: NpmFile,
  platforms: z.record(
    z.string(),
    z.object({
      /** In the image that runs. */
      runtime: z.array(DebianFile),
      /** Besides, in the image that `npm ci` runs in: a shell and small tools. */
      build: z.array(DebianFile),
      nodes: z.record(z.string(), NpmFile.extend({ image: Digest, buildImage: Digest })),
    }),
  ),
});
export type BaseLock = z.infer<typeof BaseLock>;

export const baseLock: BaseLock = BaseLock.parse(json);
