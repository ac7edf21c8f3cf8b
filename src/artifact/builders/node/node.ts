import { hashOfJson } from '../../../lib/digest.ts';
import type { SourceTree } from '../../../git/tree.ts';
import type { Builder, BuildRequest, BuiltArtifact } from '../../builder.ts';
import { assembleImage, MANIFEST_MEDIA_TYPE } from '../../oci/image.ts';
import { ensureBaseLayers, pushImage } from '../../oci/push.ts';
import type { NodeBaseParts } from './base/node-base.ts';
import { baseServicesOf, NodeDefinition } from './definition.ts';
import { baseReference, findBase } from './found-base.ts';
import type { FoundBase, LocateBase } from './found-base.ts';
import { fromItems, makeLayer, pushLayer } from './made-layer.ts';
import type { MadeLayer } from './made-layer.ts';
import { modulesLayer } from './modules.ts';
import type { NpmBase, NpmCi } from './npm-ci.ts';
import { filterSource, sourceItems } from './source-layer.ts';

/** Raised when equal inputs would give other bytes than before. */
const OUTPUT_VERSION = 1;

/** What this machine keeps of layers; the registry has them all. */
export const CACHE_BYTES = 4 * 1024 ** 3;

/** The folder of the service in the image, without its slash. */
export const PREFIX = 'app';

export interface NodeBuilderParts {
  readonly base: NodeBaseParts;
  readonly locateBase: LocateBase;
  readonly npmCi: NpmCi;
}

/**
 * Images in three parts: a base, `node_modules`, the source. No daemon, and for most lock files no npm either; equal
 * inputs give equal bytes on any machine.
 */
export function nodeBuilder(parts: NodeBuilderParts): Builder<NodeDefinition> {
  const npmMajor = parts.base.lock.npm.version.split('.')[0] ?? '';
  return {
    name: 'node',
    version: `${OUTPUT_VERSION}-npm${npmMajor}`,
    definition: NodeDefinition,
    baseReferences: async (definition) => (baseServicesOf(definition).length > 0 ? [] : [baseReference(definition)]),
    inputs: async (definition, source) => filterSource(definition, source),
    build: (request) => build(parts, request),
  };
}

async function build(parts: NodeBuilderParts, request: BuildRequest<NodeDefinition>): Promise<BuiltArtifact> {
  const { definition, platform, repository, log, signal } = request;
  const { images, layers: cache } = parts.base;
  const source = filterSource(definition, request.source);
  const base = await findBase(parts.base, parts.locateBase, request);
  const [modules, files] = await Promise.all([
    modulesLayer(
      { ...parts.base, npmCi: parts.npmCi, prefix: PREFIX },
      { definition, source, platform, base: { ...base, own: ownBase(definition, base) }, log, signal },
    ),
    sourceLayer(parts, source, request),
  ]);
  const layers = [...(modules.layer === null ? [] : [modules.layer]), files];
  const image = assembleImage(
    base.content,
    layers.map((layer) => ({ ...layer, summary: `towpath node: ${layer.summary}` })),
    { command: definition.start, workdir: `/${PREFIX}`, env: { NODE_ENV: 'production' }, port: definition.port },
  );
  await Promise.all([
    ensureBaseLayers(images, repository, base.content.layers, base.place),
    ...layers.map((layer) => pushLayer(images, cache, repository, layer)),
  ]);
  const digest = await pushImage(images, repository, image);
  await cache.prune(CACHE_BYTES);
  log(`image ${digest}`);
  return {
    digest,
    mediaType: MANIFEST_MEDIA_TYPE,
    sizeBytes: image.sizeBytes,
    materials: [{ uri: base.reference, digest: base.pin }, ...modules.materials],
    isolation: modules.isolation,
  };
}

function ownBase({ from }: NodeDefinition, { place, digest }: FoundBase): NpmBase['own'] {
  return from === undefined ? null : { ...place, digest };
}

async function sourceLayer(
  parts: NodeBuilderParts,
  source: SourceTree,
  { log, signal }: BuildRequest<NodeDefinition>,
): Promise<MadeLayer> {
  const entries = source.entries.map(({ path, mode, oid }) => [path, mode, oid]);
  const key = hashOfJson({ layer: 'source', v: OUTPUT_VERSION, prefix: PREFIX, entries });
  const write = fromItems(() => sourceItems(source, PREFIX, log), signal);
  const layer = await makeLayer(parts.base.layers, { summary: 'source', key, write });
  log(`source: ${entries.length} files, ${layer.size} bytes`);
  return layer;
}
