import type { Registry } from './registry.ts';

/**
 * A part of a registry: every repository lies below `prefix`. Its host names both, so that host and repository together
 * are a reference still.
 */
export function below(registry: Registry, prefix: string): Registry {
  if (prefix === '') return registry;
  const at = (repository: string): string => `${prefix}/${repository}`;
  return {
    host: `${registry.host}/${prefix}`,
    manifest: (repository, reference) => registry.manifest(at(repository), reference),
    putManifest: (repository, reference, manifest) => registry.putManifest(at(repository), reference, manifest),
    tag: (repository, digest, tag) => registry.tag(at(repository), digest, tag),
    hasBlob: (repository, digest) => registry.hasBlob(at(repository), digest),
    readBlob: (repository, digest) => registry.readBlob(at(repository), digest),
    writeBlob: (repository, blob) => registry.writeBlob(at(repository), blob),
    mountBlob: (repository, digest, from) => registry.mountBlob(at(repository), digest, at(from)),
    tags: (repository) => registry.tags(at(repository)),
    deleteManifest: (repository, reference) => registry.deleteManifest(at(repository), reference),
    referrers: (repository, digest, artifactType) => registry.referrers(at(repository), digest, artifactType),
  };
}
