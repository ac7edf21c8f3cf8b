import type { z } from 'zod';

import type { SourceTree } from '../git/tree.ts';
import type { Digest } from '../lib/digest.ts';
import type { LogLine } from '../lib/log.ts';

/** Makes an artifact out of git objects. Equal requests make equal digests, on any machine, at any time. */
export interface Builder<Definition = unknown> {
  readonly name: string;
  /** Goes into the artifact key: raise it when equal inputs would give other bytes than before. */
  readonly version: string;
  /** The part of `towpath.yaml` under `build: { <name>: ... }`; its defaults make the normalised definition of the key. */
  readonly definition: z.ZodType<Definition>;
  /** What of the definition goes into the artifact key; all of it where this is not given. */
  keyed?(definition: Definition): unknown;
  /** Only of what another CI builds and reports: `build` is not called then. */
  expects?(definition: Definition): ExpectedReport;
  /** References to outside images that the definition (or a file of the source) names, to be pinned before the key is made; no base services. */
  baseReferences(definition: Definition, source: SourceTree): Promise<readonly string[]>;
  /** Which entries go into the build, and so into the key: one filter serves both. */
  inputs(definition: Definition, source: SourceTree): Promise<SourceTree>;
  /**
   * What of it tells tools of this machine what to do, with their caches and credentials: of a fork it is only built where the
   * default branch says the same.
   * @throws ArtifactError where a fork could leave something behind for other builds
   */
  recipe?(definition: Definition, source: SourceTree): Promise<unknown>;
  build(request: BuildRequest<Definition>): Promise<BuiltArtifact>;
}

/** What a report of another CI has to be like. */
export interface ExpectedReport {
  /** Registry and repository without a tag; `*` in the repository stands for any part of it. */
  readonly image: string;
  /** How long it is waited for. */
  readonly withinMs: number;
  /** Null where none is asked for; patterns, and what is not given may be anything. */
  readonly provenance: { readonly builder?: string | undefined; readonly source?: string | undefined } | null;
}

export interface BuildRequest<Definition> {
  readonly definition: Definition;
  readonly source: SourceTree;
  /** `linux/amd64` or `linux/arm64`. */
  readonly platform: string;
  /** Where the image goes, within the registry that the builder was made with: `<project>/<service>`. */
  readonly repository: string;
  /** The reference of each outside base and the digest that it was pinned to. */
  readonly pins: Readonly<Record<string, Digest>>;
  /** The base services that the definition names, as they were built. */
  readonly parents: Readonly<Record<string, BuiltParent>>;
  readonly log: LogLine;
  readonly signal: AbortSignal;
}

/** The image of a base service, in the registry that the builder was made with. */
export interface BuiltParent {
  readonly repository: string;
  readonly digest: Digest;
}

export interface BuiltArtifact {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Compressed size of config and layers. */
  readonly sizeBytes: number;
  /** What went in besides the source: packages and base images, for the provenance. */
  readonly materials: readonly { readonly uri: string; readonly digest: string }[];
  /** Where untrusted code ran during the build: `none` when nothing ran. */
  readonly isolation: 'none' | 'bwrap' | 'runc' | 'docker' | 'buildah' | 'host';
}
