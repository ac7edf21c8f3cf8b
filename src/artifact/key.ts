import { hashOfJson } from '../lib/digest.ts';
import type { Digest } from '../lib/digest.ts';
import type { GitMode } from '../git/tree.ts';

/** Raised when the same inputs are to give another key than before. */
const KEY_VERSION = 2;

/**
 * Everything that goes into a build, and nothing else. Not in it: commit, branch, time, author, project, the name of
 * the service's folder, the machine. What two commits share here, they share as an artifact.
 */
export interface KeyInputs {
  readonly kind: 'image' | 'base' | 'zip';
  readonly builder: { readonly name: string; readonly version: string };
  /** `linux/amd64` or `linux/arm64`. */
  readonly platform: string;
  /** The normalised build section of the service: JSON, with the builder's defaults filled in. */
  readonly definition: unknown;
  /** What the builder's filter let through, paths relative to the service. The order does not matter. */
  readonly trees: readonly { readonly path: string; readonly mode: GitMode; readonly oid: string }[];
  /** Name of a base service and the artifact key of its own build. */
  readonly parents: Readonly<Record<string, string>>;
  /** Reference of an outside base image and the digest that it was resolved to. */
  readonly pins: Readonly<Record<string, Digest>>;
  /**
   * Name of a check that is asked during the build and the identity of its question (definition and tests): a failure
   * there means that there is no artifact, so another question is another build.
   */
  readonly checks: Readonly<Record<string, string>>;
}

/**
 * The name of a build's result before there is one: 64 hex digits.
 * @throws TypeError for a definition that JSON cannot say, or a path that is listed twice
 * @see RFC 8785 for the form that is hashed
 */
export function artifactKey(inputs: KeyInputs): string {
  const { kind, builder, platform, definition, parents, pins, checks } = inputs;
  return hashOfJson({
    v: KEY_VERSION,
    kind,
    builder: { name: builder.name, version: builder.version },
    platform,
    definition,
    trees: inTreeOrder(inputs.trees).map(({ path, mode, oid }) => [path, mode, oid]),
    parents,
    pins,
    checks,
  });
}

function inTreeOrder(trees: KeyInputs['trees']): KeyInputs['trees'] {
  const sorted = [...trees].sort((one, other) => (one.path < other.path ? -1 : Number(one.path > other.path)));
  const twice = sorted.find(({ path }, index) => index > 0 && sorted[index - 1]?.path === path);
  if (twice) throw new TypeError(`The path ${JSON.stringify(twice.path)} is listed twice.`);
  return sorted;
}
