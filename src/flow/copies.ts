import { type Digest, shortDigest } from '../lib/digest.ts';
import { each } from '../lib/each.ts';
import { TowpathError } from '../lib/error.ts';
import type { LogLine } from '../lib/log.ts';
import { bringImage, type CopiedBlob, type Place } from '../registry/copy-image.ts';
import { keepTag } from '../registry/keep-tag.ts';
import { parsePlace } from '../registry/place.ts';
import { awaitRemovals } from '../registry/removal-store.ts';
import { openLog } from '../store/log-store.ts';
import { type Deployment, logOf } from './deploy-release.ts';
import { passBoundary } from './engine/fault.ts';
import type { House } from './house.ts';
import { imagesOf } from './statements/state.ts';

/** Services of a release that are copied at once; each takes several blobs at once. */
const AT_ONCE = 2;

/**
 * Copies the images of a release into the registry that the environment takes them from, before anything of it is touched. What
 * is there is not copied again, so that a kill, or the next promotion, goes on where this one was. Nothing where there is no
 * such registry.
 * @throws RegistryError as `bringImage`; TowpathError `promotion.copy-timeout`
 */
export async function copyRelease(house: House, deployment: Deployment): Promise<void> {
  const { definition, environment, release, promotionId } = deployment;
  const { registry, timeoutMs } = definition;
  if (registry === undefined) return;
  const log = openLog(house.store, await logOf(house, promotionId));
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const images = imagesOf(release);
    await awaitRemovals(
      house.store,
      images.map(({ repository }) => `${registry}/${repository}`),
    );
    const signal = AbortSignal.any([deployment.signal, deadline]);
    const pin = { registry, tag: keepTag(environment.slug, release.number) };
    await each(images, AT_ONCE, ({ service, repository, digest }) =>
      bringCopy(house, { ...pin, repository, digest }, { signal, log: (line) => log.line(`${service}: ${line}`) }),
    );
  } catch (error) {
    throw deadline.aborted && !deployment.signal.aborted ? tooLong(registry, timeoutMs) : error;
  } finally {
    await log.end();
  }
}

/** An image that an environment needs in a registry that is not ours. */
export interface Copy {
  /** `host[:port][/prefix]`. */
  readonly registry: string;
  /** In ours, and there below the prefix. */
  readonly repository: string;
  readonly digest: Digest;
  /** The name that keeps it there. */
  readonly tag: string;
}

/** Makes sure that a copy is there, whole, with its name and with what is signed about it. */
export async function bringCopy(
  house: Pick<House, 'registry' | 'registryAt'>,
  { registry, repository, digest, tag }: Copy,
  { signal, log }: { readonly signal: AbortSignal; readonly log: LogLine },
): Promise<void> {
  const there = `${registry}/${repository}`;
  const to = placeIn(house, registry, repository);
  let begun = false;
  const count = { copied: 0, mounted: 0, there: 0 };
  await bringImage(placeIn(house, house.registry.host, repository), to, digest, {
    signal,
    begins: ({ blobs, sizeBytes }) => {
      begun = true;
      log(`${shortDigest(digest)} is copied to ${there}: ${blobs.length} blobs, ${megabytes(sizeBytes)}.`);
    },
    told: (blob: CopiedBlob) => {
      passBoundary('blob', 'done', 'copies');
      count[blob.how] += 1;
      if (blob.how === 'copied') log(`  ${shortDigest(blob.digest)} copied, ${megabytes(blob.size)}`);
    },
  });
  passBoundary('copied', 'done', 'copies');
  await to.registry.tag(to.repository, digest, tag);
  const done = `${count.copied} blobs copied, ${count.mounted} mounted, ${count.there} were there`;
  log(`${shortDigest(digest)} in ${there}: ${begun ? `read back whole (${done})` : 'was there, whole'}.`);
}

/** A repository of the registry at a place; two of one host are of one registry, where content can be mounted. */
export function placeIn({ registryAt }: Pick<House, 'registryAt'>, place: string, repository: string): Place {
  const { host, prefix } = parsePlace(place) ?? { host: place, prefix: '' };
  return { registry: registryAt(host), repository: prefix === '' ? repository : `${prefix}/${repository}` };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function tooLong(registry: string, timeoutMs: number): TowpathError {
  return new TowpathError({
    code: 'promotion.copy-timeout',
    what: `Copying the images to ${registry} took longer than ${timeoutMs / 1000} s.`,
    fix: 'Promote again: what is there is not copied again. Raise `timeout` of the environment if it needs longer.',
  });
}
