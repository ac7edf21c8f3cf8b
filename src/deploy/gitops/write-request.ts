import { z } from 'zod';

import { isDigest, type Digest } from '../../lib/digest.ts';
import { ImagePlaceSchema } from './image-place.ts';

const DigestText = z.custom<Digest>((text) => isDigest(text));

/** One commit that is wanted, as it waits in the store: what is to stand where, and not how the files are to look. */
export const WriteRequest = z.object({
  edits: z.array(
    z.object({ place: ImagePlaceSchema, image: z.object({ digest: DigestText, tag: z.string().nullable() }) }),
  ),
  style: z.enum(['digest', 'tag@digest']),
  author: z.object({ name: z.string(), email: z.string() }),
  message: z.string(),
  /** The branch of its own that it is written to, upon the head of the branch that it is for; null: to that one itself. */
  own: z.string().nullable().default(null),
});
export type WriteRequest = z.infer<typeof WriteRequest>;

/** A manifest repository and how it is reached: references, never secrets. */
export const ManifestRepository = z.object({
  url: z.string(),
  host: z.string().nullable(),
  credential: z.string().nullable(),
});
export type ManifestRepository = z.infer<typeof ManifestRepository>;
