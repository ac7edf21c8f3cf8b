import { z } from 'zod';

import { Duration } from '../../../lib/fields.ts';
import { pathFilter } from '../../../source/path-filter.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { Builder } from '../../builder.ts';

const DAY_MS = 86_400_000;

const Glob = z.string().min(1).max(256);

/** The host is written out: whoever reports must not choose which registry is asked. */
const IMAGE = /^(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+(?=:))(?::\d{1,5})?(?:\/[a-z0-9._*-]+)+$/;

/** The part of `towpath.yaml` under `build: { external: ... }`. */
export const ExternalDefinition = z.strictObject({
  image: z
    .string()
    .max(300)
    .regex(IMAGE, 'a registry and a repository without a tag, such as registry.example/team/web')
    .describe('Registry and repository where the other CI puts it; `*` in the repository stands for any part of it'),
  include: z.array(Glob).max(64).default([]).describe('Only these files of the service go in; all when empty'),
  exclude: z.array(Glob).max(64).default([]).describe('These files do not go in: a change of them needs no new report'),
  provenance: z
    .strictObject({
      builder: Glob.optional().describe('The builder that it names; `*` stands for anything'),
      source: Glob.optional().describe('The repository that it names, such as https://github.com/team/shop'),
    })
    .optional()
    .describe('Where it is given, a report needs provenance that says this'),
  revision: z
    .int()
    .min(1)
    .default(1)
    .describe('Raise it to have the same files built and reported anew, as after a fix of the base image (1)'),
  wait: Duration.default(DAY_MS).describe('How long a report is waited for (1d)'),
});

export type ExternalDefinition = z.infer<typeof ExternalDefinition>;

/** What another CI builds. Its key is over what went in, as for the others; the digest comes with the report. */
export function createExternalBuilder(): Builder<ExternalDefinition> {
  return {
    name: 'external',
    version: '1',
    definition: ExternalDefinition,
    keyed: ({ image, provenance, revision }) => ({ image, revision, ...(provenance && { provenance }) }),
    expects: ({ image, provenance, wait }) => ({ image, withinMs: wait, provenance: provenance ?? null }),
    baseReferences: async () => [],
    async inputs({ include, exclude }, source) {
      const accepts = pathFilter({ include: include.length === 0 ? ['.'] : include, exclude });
      const entries = source.entries.filter(({ path }) => accepts(path));
      return { entries, read: (oid) => source.read(oid), prefetch: (oids) => source.prefetch(oids) };
    },
    build: () => Promise.reject(builtElsewhere()),
  };
}

function builtElsewhere(): ArtifactError {
  return new ArtifactError({
    code: 'artifact.built-elsewhere',
    what: 'This service is built by another CI, and Towpath has nothing to build it with.',
    fix: 'Report what that CI built with `towpath artifact report`.',
  });
}
