import type { Digest } from '../../../lib/digest.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { BuildRequest } from '../../builder.ts';
import type { ImageReader } from '../../image-store.ts';
import { readBaseImage } from '../../oci/base-image.ts';
import type { BaseContent } from '../../oci/image.ts';
import type { BaseLock } from './base/base-lock.ts';
import { BASE_REPOSITORY, ensureNodeBase, lockedBase } from './base/node-base.ts';
import type { NodeBaseParts } from './base/node-base.ts';
import { baseServicesOf, type NodeDefinition } from './definition.ts';

export interface BasePlace {
  readonly images: ImageReader;
  readonly repository: string;
}

/** The base of one build. */
export interface FoundBase {
  /** As it was named; of a base service, where it rests. */
  readonly reference: string;
  readonly pin: Digest;
  readonly place: BasePlace;
  /** Of its manifest or index. */
  readonly digest: Digest;
  readonly content: BaseContent;
  /** Of Node, without the `v`; null where the image does not tell. */
  readonly nodeVersion: string | null;
}

/** Where a base of the user's own choice rests: null for a reference that nothing is known of. */
export type LocateBase = (reference: string, repository: string) => BasePlace | null;

export function baseReference({ from, node }: NodeDefinition): string {
  return from ?? `towpath:node-${node}`;
}

/**
 * The pin of a default base image, or null when the reference names an image of the user's. It is the same on every
 * machine and needs no network.
 */
export function pinOfDefaultBase(reference: string, platform: string, lock: BaseLock): Digest | null {
  const line = lineOfDefaultBase(reference);
  return line === null ? null : lockedBase(lock, { line, platform, variant: 'runtime' });
}

/** `22` for `towpath:node-22`; null for every image that is not ours. */
export function lineOfDefaultBase(reference: string): string | null {
  return /^towpath:node-(\d+)$/.exec(reference)?.[1] ?? null;
}

/** @throws ArtifactError for a base that is not pinned, not known, not there, or not for the platform */
export async function findBase(
  parts: NodeBaseParts,
  locateBase: LocateBase,
  { definition, platform, repository, pins, parents, log, signal }: BuildRequest<NodeDefinition>,
): Promise<FoundBase> {
  const [parent] = baseServicesOf(definition).flatMap((name) => parents[name] ?? []);
  if (parent !== undefined) {
    const place = { images: parts.images, repository: parent.repository };
    const content = await readBaseImage(place.images, place.repository, parent.digest, platform);
    const { digest } = parent;
    const reference = `oci://${parent.repository}@${digest}`;
    return { reference, pin: digest, place, digest, content, nodeVersion: nodeVersionOf(content) };
  }
  const reference = baseReference(definition);
  const pin = pins[reference];
  if (pin === undefined) throw unpinned(reference);
  const isOwn = definition.from !== undefined;
  const place = isOwn ? locateBase(reference, repository) : { images: parts.images, repository: BASE_REPOSITORY };
  if (place === null) throw unknownBase(reference);
  const question = { line: definition.node, platform, variant: 'runtime' } as const;
  const digest = isOwn ? pin : await ensureNodeBase(parts, question, pin, log, signal);
  const content = await readBaseImage(place.images, place.repository, digest, platform);
  return { reference, pin, place, digest, content, nodeVersion: nodeVersionOf(content) };
}

/** As the official images of Node, and ours, tell it. */
function nodeVersionOf({ config }: BaseContent): string | null {
  const line = config.config?.Env?.find((entry) => entry.startsWith('NODE_VERSION='));
  return line === undefined ? null : line.slice('NODE_VERSION='.length).replace(/^v/, '');
}

function unpinned(reference: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.base-unpinned',
    what: `The base image ${reference} was not pinned to a digest before the build.`,
    fix: 'Run `towpath base refresh`.',
  });
}

function unknownBase(reference: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.base-unknown',
    what: `The base "${reference}" is neither a base service of this project nor an image of a known registry.`,
    fix: 'Correct `from` in towpath.yaml, or leave it out for the default base.',
  });
}
