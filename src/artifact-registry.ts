import { join } from 'node:path';

import { createEmbeddedRegistry } from './registry/embedded/embedded.ts';
import type { EmbeddedRegistry } from './registry/embedded/embedded.ts';
import { below } from './registry/below.ts';
import { dockerCredentials } from './registry/client/docker-credentials.ts';
import { outsideRegistries } from './registry/client/outside.ts';
import { isImmutableTag, isReservedTag } from './registry/image-names.ts';
import { parsePlace, type RegistryPlace } from './registry/place.ts';
import type { Registry } from './registry/registry.ts';
import { RegistryError } from './registry/error.ts';

/** Where our artifacts rest: in the registry of the data directory, or in one that somebody else runs. */
export interface ArtifactRegistry {
  readonly registry: Registry;
  /** Null for a registry of somebody else: then nothing is served under `/v2/`. */
  readonly embedded: EmbeddedRegistry | null;
  /** What lets engines push there and pull from it, and from other registries that docker knows credentials for. */
  credentials(host: string): Promise<{ readonly username: string; readonly password: string } | null>;
}

export interface ArtifactRegistryOptions {
  readonly data: string;
  /** `host[:port][/prefix]` of a registry outside; the embedded one where it is not given. */
  readonly place: string | undefined;
  /** Where the embedded one is reached. */
  readonly host: string;
  readonly localToken: () => Promise<string>;
  /** The largest blob that the embedded one takes by HTTP. */
  readonly blobBytes?: number | undefined;
  readonly onError: (error: unknown) => void;
}

export async function openArtifactRegistry(options: ArtifactRegistryOptions): Promise<ArtifactRegistry> {
  if (options.place !== undefined) return outside(options.place);
  const { data, host, localToken, blobBytes, onError } = options;
  const known = knownToDocker();
  const directory = join(data, 'registry');
  const tags = { immutable: isImmutableTag, reserved: isReservedTag };
  const embedded = await createEmbeddedRegistry({
    directory,
    host,
    ...tags,
    ...(blobBytes !== undefined && { limits: { blobBytes } }),
    onError,
  });
  return {
    registry: embedded.registry(),
    embedded,
    credentials: async (asked) =>
      asked === host ? { username: 'towpath', password: await localToken() } : known(asked),
  };
}

function outside(place: string): ArtifactRegistry {
  const { host, prefix } = placeOf(place);
  return {
    registry: below(outsideRegistries({ environment: process.env })(host), prefix),
    embedded: null,
    credentials: knownToDocker(),
  };
}

function knownToDocker(): ArtifactRegistry['credentials'] {
  const find = dockerCredentials();
  return async (host) => {
    const found = await find(host);
    return found?.kind === 'basic' ? found : null;
  };
}

/** @throws RegistryError `registry.name-invalid` */
function placeOf(text: string): RegistryPlace {
  const place = parsePlace(text.replace(/\/+$/, ''));
  if (place !== null) return place;
  throw new RegistryError({
    code: 'registry.name-invalid',
    what: `"${text.slice(0, 200)}" is not the place of a registry.`,
    fix: 'Write TOWPATH_REGISTRY as `host`, `host:port` or `host/prefix`, without a scheme: `registry.example.org/towpath`.',
  });
}
