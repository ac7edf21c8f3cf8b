import type { Builder } from './builder.ts';
import { createDockerfileBuilder, DockerfileDefinition } from './builders/dockerfile/dockerfile-builder.ts';
import type { DockerfileTool } from './builders/dockerfile/tool.ts';
import { createExternalBuilder, ExternalDefinition } from './builders/external/external.ts';
import { createNodeBuilder, nodeBaseLender, nodeParts } from './builders/node/create.ts';
import type { NodeBuilderOptions } from './builders/node/create.ts';
import { baseServicesOf, NodeDefinition } from './builders/node/definition.ts';
import { ServerlessDefinition } from './builders/serverless/definition.ts';
import { serverlessBuilder } from './builders/serverless/serverless.ts';
import type { BlobPlace } from './image-store.ts';
import type { BuilderFamily } from './service.ts';

/** Everything that some builder is made with. */
export interface BuilderParts extends NodeBuilderOptions {
  /** The registry's host as tools outside this process reach it. */
  readonly registryHost: string;
  /** Where zips rest; null for the registry. */
  readonly bucket: BlobPlace | null;
  /** What is there to build a Dockerfile with. */
  readonly dockerfileTool: () => Promise<DockerfileTool | null>;
}

/** A builder before it is made: the configuration needs its name and definition only. */
export interface BuilderPlugin extends BuilderFamily {
  create(parts: BuilderParts): Builder;
}

/** The builders, one line each. */
export const builders: readonly BuilderPlugin[] = [
  {
    name: 'node',
    definition: NodeDefinition,
    bases: (definition) => baseServicesOf(NodeDefinition.parse(definition)),
    create: (parts) => createNodeBuilder(parts),
  },
  {
    name: 'dockerfile',
    definition: DockerfileDefinition,
    bases: (definition) => DockerfileDefinition.parse(definition).from ?? [],
    create: (parts) =>
      createDockerfileBuilder({
        images: parts.images,
        registryHost: parts.registryHost,
        tool: parts.dockerfileTool,
        lendBase: nodeBaseLender(parts),
      }),
  },
  {
    name: 'serverless',
    definition: ServerlessDefinition,
    makes: 'zip',
    create: (parts) => serverlessBuilder({ ...nodeParts(parts), bucket: parts.bucket }),
  },
  { name: 'external', definition: ExternalDefinition, elsewhere: true, create: () => createExternalBuilder() },
];
