import type { Digest } from '../lib/digest.ts';
import { sha256Hex } from '../lib/digest.ts';
import { each } from '../lib/each.ts';
import { slugOf } from '../lib/slug.ts';
import { RegistryError } from './error.ts';
import { isTag } from './reference.ts';
import type { Registry } from './registry.ts';

/** Why an image gets a name. Only a git tag's name stays for ever; the others move to the image that they mean today. */
export type ImageName =
  | { readonly kind: 'branch'; readonly branch: string }
  | { readonly kind: 'commit'; readonly commit: string }
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'environment'; readonly environment: string };

export interface TagPlan {
  readonly repository: string;
  readonly digest: Digest;
  readonly tag: string;
  /** False: a second digest for this tag is an error. */
  readonly moves: boolean;
}

/** Enough of a commit to be its own among any number that a repository has. */
const SHORT_SHA = 12;

/** What a branch, a commit, an environment or a registry's own bookkeeping is called. No git tag gets such a name. */
const MOVING = /^(?:[a-z][a-z0-9-]*-[0-9a-f]{8}|[0-9a-f]{12}|env-.*|sha256-[0-9a-f]{64}.*|latest)$/;

/** Names that come and go with their reason: pins of environments, and those under which builds deliver. */
const PASSING = /^(?:keep|incoming)-/;

/**
 * The image tag for a name: `<branch-slug>`, `<short-sha>`, `<git tag>` or `env-<environment>`. A git tag that is no
 * image tag (`release/1.0`, `v1+b2`), or that reads like a name of another kind, becomes `git_<slug>`.
 */
export function imageTagOf(name: ImageName): string {
  switch (name.kind) {
    case 'branch':
      return slugOf(name.branch);
    case 'commit':
      return name.commit.slice(0, SHORT_SHA);
    case 'tag':
      return isTag(name.tag) && !MOVING.test(name.tag) && !PASSING.test(name.tag) && !name.tag.startsWith('git_')
        ? name.tag
        : `git_${slugOf(name.tag)}`;
    case 'environment':
      return isTag(`env-${name.environment}`)
        ? `env-${name.environment}`
        : `env-x_${sha256Hex(name.environment).slice(0, 32)}`;
    default:
      return name satisfies never;
  }
}

/** May this tag of a service's repository never name a second digest? For the registry that can enforce it. */
export function isImmutableTag(tag: string): boolean {
  return !MOVING.test(tag);
}

/** Names by which Towpath finds again what runs and what is kept: none but itself gives them. */
export function isReservedTag(tag: string): boolean {
  return /^(?:env|keep)-/.test(tag);
}

/** @param repository `<project>/<service>` */
export function planTags(repository: string, digest: Digest, names: readonly ImageName[]): TagPlan[] {
  const plans = names.map((name) => ({ repository, digest, tag: imageTagOf(name), moves: name.kind !== 'tag' }));
  return plans.filter(({ tag }, i) => plans.findIndex((plan) => plan.tag === tag) === i);
}

/**
 * Gives the names. Safe to repeat: the same digest keeps the same tag. The tags that never move are looked at first, so
 * that a refusal leaves the others where they were.
 * @throws RegistryError `registry.tag-immutable`, `registry.not-found`
 */
export async function applyTags(plans: readonly TagPlan[], registry: Registry): Promise<void> {
  const fixed = plans.filter(({ moves }) => !moves);
  await each(fixed, AT_ONCE, async ({ repository, digest, tag }) => {
    const holder = (await registry.manifest(repository, tag))?.digest ?? digest;
    if (holder !== digest) throw taken(repository, tag, holder);
  });
  for (const some of [fixed, plans.filter(({ moves }) => moves)])
    await each(some, AT_ONCE, ({ repository, digest, tag }) => registry.tag(repository, digest, tag));
}

/** Of the names of a release, which may be thousands. */
const AT_ONCE = 16;

function taken(repository: string, tag: string, holder: Digest): RegistryError {
  return new RegistryError({
    code: 'registry.tag-immutable',
    what: `The tag "${tag}" of ${repository} names ${holder} and may not move.`,
    fix: 'Use another git tag. One that moved after its promotion is a mistake to be cleared up in git.',
  });
}
