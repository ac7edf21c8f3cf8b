import type { Digest } from '../../lib/digest.ts';
import { imageTagOf } from '../../registry/image-names.ts';
import { keepTag, parseKeepTag } from '../../registry/keep-tag.ts';

/** What an environment of a project has run and what it works on, as far as its images are concerned. */
export interface RetainingEnvironment {
  readonly name: string;
  readonly slug: string;
  readonly removed: boolean;
  /** What runs there, and what it must be able to put back. */
  readonly pins: readonly PinnedImage[];
  /** Releases that are on their way in or out now: no tag of theirs is touched. */
  readonly busy: readonly number[];
}

export interface PinnedImage {
  readonly release: number;
  readonly repository: string;
  /** Where it was built, perhaps another one: there it is found when it is not in `repository`. */
  readonly builtIn: string;
  readonly digest: Digest;
}

/** One repository of the registry as it was seen, before the environments were read. */
export interface RetainedRepository {
  readonly repository: string;
  readonly tags: readonly string[];
  /** A build may be at work there; the tag under which it delivers is in use. */
  readonly building: boolean;
  /** Those of the tags that Towpath gave to images that are given up. */
  readonly over?: ReadonlySet<string>;
}

export interface RetentionPlan {
  readonly remove: readonly { readonly repository: string; readonly tag: string }[];
  /** Pins that ought to be there and are not. */
  readonly add: readonly { readonly repository: string; readonly tag: string; readonly digest: Digest }[];
}

const INCOMING = /^incoming-[a-z0-9]+$/i;

/**
 * What keeps images alive is compared with what should: pins beyond the rollback window go, as do the names of
 * environments that are gone and the names under which builds delivered; pins that are missing come back. Names that
 * are none of ours are left alone.
 */
export function planRetention(
  environments: readonly RetainingEnvironment[],
  { repository, tags, building, over = new Set() }: RetainedRepository,
): RetentionPlan {
  const alive = environments.filter(({ removed }) => !removed);
  const slugs = new Set(environments.map(({ slug }) => slug));
  const wanted = new Map(
    alive.flatMap(({ slug, pins }) =>
      pins
        .filter((pin) => pin.repository === repository)
        .map(({ release, digest }) => [keepTag(slug, release), digest] as const),
    ),
  );
  const busy = new Set(alive.flatMap(({ slug, busy }) => busy.map((release) => keepTag(slug, release))));
  const here = new Set(alive.map(({ name }) => environmentTag(name)));
  const gone = new Set(environments.map(({ name }) => environmentTag(name)).filter((tag) => !here.has(tag)));
  const isOver = (tag: string): boolean => {
    const pin = parseKeepTag(tag);
    if (pin !== null && slugs.has(pin.slug)) return !wanted.has(tag) && !busy.has(tag);
    return gone.has(tag) || over.has(tag) || (!building && INCOMING.test(tag));
  };
  return {
    remove: tags.filter(isOver).map((tag) => ({ repository, tag })),
    add: [...wanted].filter(([tag]) => !tags.includes(tag)).map(([tag, digest]) => ({ repository, tag, digest })),
  };
}

function environmentTag(environment: string): string {
  return imageTagOf({ kind: 'environment', environment });
}
