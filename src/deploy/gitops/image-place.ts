import { z } from 'zod';

import { RelativePath } from '../../lib/fields.ts';
import { parsePath } from './manifest/path.ts';

const PathText = z
  .string('a path such as spec.template.spec.containers[name=web].image')
  .max(400, 'a path of at most 400 characters')
  .refine((text) => parsePath(text) !== null, 'a path such as spec.template.spec.containers[name=web].image');

const common = {
  file: RelativePath.describe('The file, from the root of the repository (or from `folder`)'),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._/:-]{0,254}$/, 'the name of an image, with neither tag nor digest')
    .optional()
    .describe(
      'The name of the image that is written too, `registry.example.com/shop/web`; without it the name stays as it is',
    ),
};

const Document = z
  .strictObject({
    kind: z.string().optional().describe('Such as Deployment'),
    name: z.string().optional().describe('Of metadata.name'),
    namespace: z.string().optional().describe('Of metadata.namespace'),
  })
  .describe('Which document of a file that has several');

/** Where an image of a service stands in a manifest repository. */
export const ImagePlaceSchema = z.union(
  [
    z.strictObject({
      ...common,
      document: Document.optional(),
      image: PathText.describe('The path of a whole reference, `name:tag@digest`'),
    }),
    z.strictObject({
      ...common,
      document: Document.optional(),
      helm: PathText.describe('The path of a map of Helm values that holds `repository`, `tag` and perhaps `digest`'),
    }),
    z.strictObject({
      ...common,
      kustomize: z
        .string()
        .min(1, 'the name of an image')
        .describe('The `name` of an entry of `images:` in a kustomization'),
    }),
  ],
  'a file, and in it one of: `image: PATH`, `helm: PATH`, `kustomize: NAME`',
);
export type ImagePlace = z.infer<typeof ImagePlaceSchema>;
