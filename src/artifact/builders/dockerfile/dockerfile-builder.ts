import { z } from 'zod';

import type { Digest } from '../../../lib/digest.ts';
import { listOf, Name } from '../../../lib/fields.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { Builder, BuiltParent } from '../../builder.ts';
import type { ImageReader } from '../../image-store.ts';
import type { LendBase } from '../../lend-base.ts';
import { contextOf, readDockerfile } from './context.ts';
import { findImages, pinImages, type PinnedImage } from './dockerfile.ts';
import type { DockerfileTool } from './tool.ts';

const Path = z
  .string()
  .regex(/^(?!\/)(?!(?:.*\/)?\.\.?(?:\/|$))[^\0]+$/, 'a path below the folder of the service')
  .describe('Path of the Dockerfile, from the folder of the service (Dockerfile)');

export const DockerfileDefinition = z.strictObject({
  file: Path.default('Dockerfile'),
  from: listOf(Name)
    .optional()
    .describe('Base services of this project that the Dockerfile names, in FROM and wherever an image may stand'),
  target: z
    .string()
    .regex(/^[A-Za-z][\w.-]*$/, 'the name of a stage')
    .optional()
    .describe('The stage to build; the last one where it is not given'),
  args: z
    .record(z.string().regex(/^[A-Za-z_]\w*$/, 'the name of a variable'), z.string())
    .default({})
    .describe('Build arguments; never secrets, they stay readable in the image'),
});

export type DockerfileDefinition = z.infer<typeof DockerfileDefinition>;

/** Also one in a comment: better too careful than too clever. */
const SHARED_CACHE = /type\s*=\s*["']?cache/i;

const Manifest = z.object({
  config: z.object({ size: z.number() }),
  layers: z.array(z.object({ size: z.number() })),
});

/**
 * Builds from a Dockerfile. Its context comes from git objects and every outside image from its pin. The same inputs need
 * not give the same bytes (a `RUN` may do anything), so what was built once is kept under its key and never built again.
 */
export function createDockerfileBuilder(parts: {
  /** Where the tool pushes to, read back to learn the size of the image. */
  readonly images: ImageReader;
  /** The registry's host as the tool reaches it. */
  readonly registryHost: string;
  /** What is there to build with; asked at each build, for it may have been started since. */
  readonly tool: () => Promise<DockerfileTool | null>;
  /** Lets `FROM towpath:node-22` name a default base image, which no hub has. */
  readonly lendBase?: LendBase;
}): Builder<DockerfileDefinition> {
  return {
    name: 'dockerfile',
    version: '1',
    definition: DockerfileDefinition,
    async baseReferences({ file, args, from = [] }, source) {
      const images = findImages(await readDockerfile(source, file), args);
      const references = [...new Set(images.map(({ reference }) => reference))];
      return references.filter((reference) => !reference.includes('@') && !from.includes(reference));
    },
    async inputs({ file }, source) {
      await readDockerfile(source, file);
      return contextOf(source, file);
    },
    async recipe(definition, source) {
      const text = await readDockerfile(source, definition.file);
      if (SHARED_CACHE.test(text)) throw sharedCache(definition.file);
      return { definition, text };
    },
    async build({ definition, source, platform, repository, pins, parents, log, signal }) {
      const { file, args, target } = definition;
      const tool = await parts.tool();
      if (tool === null) throw noTool();
      const here = ({ repository: base, digest }: BuiltParent): PinnedImage => ({
        reference: `${parts.registryHost}/${base}@${digest}`,
        digest,
      });
      const lent = new Map(Object.entries(parents).map(([name, parent]) => [name, here(parent)]));
      for (const [reference, pin] of Object.entries(pins)) {
        const place = await parts.lendBase?.(reference, { pin, platform, log, signal });
        if (place) lent.set(reference, here(place));
      }
      const pinned = pinImages(await readDockerfile(source, file), args, pins, lent);
      const digest = await tool.build({
        context: await contextOf(source, file),
        dockerfile: { path: file, text: pinned.text },
        bases: pinned.images,
        args,
        ...(target === undefined ? {} : { target }),
        platform,
        to: `${parts.registryHost}/${repository}`,
        log,
        signal,
      });
      return {
        ...(await describe(parts.images, repository, digest)),
        materials: pinned.images.map((image) => ({ uri: `oci://${image.reference}`, digest: image.digest })),
        isolation: tool.name,
      };
    },
  };
}

async function describe(
  images: ImageReader,
  repository: string,
  digest: Digest,
): Promise<{ digest: Digest; mediaType: string; sizeBytes: number }> {
  const stored = await images.manifest(repository, digest);
  if (stored === null) {
    throw new ArtifactError({
      code: 'artifact.push-lost',
      what: `The image ${digest} was pushed to "${repository}", and the registry does not have it.`,
      fix: 'See that the builder pushes to the registry that the server reads from, then build again.',
    });
  }
  const { config, layers } = Manifest.parse(JSON.parse(stored.bytes.toString('utf8')));
  const sizeBytes = layers.reduce((sum, { size }) => sum + size, config.size);
  return { digest, mediaType: stored.mediaType, sizeBytes };
}

function sharedCache(file: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.shared-cache',
    what: `"${file}" mounts a cache, which all builds of a machine share: what a fork leaves there would go into other images.`,
    fix: 'Push the commit to a branch of this repository if it is good; or build without `--mount=type=cache`.',
  });
}

function noTool(): ArtifactError {
  return new ArtifactError({
    code: 'artifact.no-docker',
    what: 'This service is built from a Dockerfile, and this machine has neither a Docker Engine that answers nor Buildah.',
    fix: 'Start the Docker Engine (or set DOCKER_HOST), install Buildah, or run a worker on a machine that has one of them.',
  });
}
