import {
  type ClaimedImage,
  claimImages,
  recordDelivered,
  renewClaim,
  signedStatements,
  signStatements,
  type StatedImage,
} from '../../attestation/attestation-store.ts';
import { bundlesOf, pushBundle } from '../../attestation/referrer.ts';
import { activeSigner } from '../../attestation/signing-key-store.ts';
import { type Problem, problemOf } from '../../lib/error.ts';
import { shareImage } from '../../registry/copy-image.ts';
import type { StoredManifest } from '../../registry/registry.ts';
import { awaitRemovals } from '../../registry/removal-store.ts';
import { attemptEach } from '../care/attempt.ts';
import { passBoundary } from '../engine/fault.ts';
import type { House } from '../house.ts';

type Place = Pick<House, 'store' | 'registry' | 'clock' | 'log' | 'keys'>;

/** Images that get their statements at once, and longer than one request may take: whoever died lets go by that. */
const AT_ONCE = 8;
const LEASE_MS = 30_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 300_000;

/**
 * Signs what was stated and puts it beside the images: what lies there is compared with what should. So a kill between any
 * two steps leaves one statement, for its bytes are stored before they go out; and what an image lost, which was swept and
 * built again, comes back with the next statement about it. An image has one worker at a time.
 */
export async function deliverStatements(house: Place, signal: AbortSignal): Promise<void> {
  const nowMs = house.clock.now();
  const claimed = await claimImages(house.store.db, { nowMs, untilMs: nowMs + LEASE_MS, most: AT_ONCE });
  await Promise.all(
    claimed.map((image) =>
      attemptEach(house.log, [image], 'putting statements beside an image', () => deliverTo(house, image, signal)),
    ),
  );
}

async function deliverTo(house: Place, claimed: ClaimedImage, signal: AbortSignal): Promise<void> {
  const { clock } = house;
  const claim = claimOf(house, claimed);
  try {
    await sign(house, claimed);
    passed('signed');
    if (await deliver(house, claimed, claim, signal)) await claim.move(clock.now(), { tries: 0, problem: null });
  } catch (error) {
    if (signal.aborted) throw error;
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** Math.min(claimed.tries, 20), LONGEST_WAIT_MS);
    const problem = problemOf(error, 'attestation.undelivered');
    await claim.move(clock.now() + waitMs, { tries: claimed.tries + 1, problem });
    throw error;
  }
}

interface Claim {
  /** @returns false when another has taken the image over */
  move(untilMs: number, change?: { readonly tries: number; readonly problem: Problem | null }): Promise<boolean>;
}

function claimOf({ store }: Place, claimed: ClaimedImage): Claim {
  let held: ClaimedImage | null = claimed;
  return {
    async move(untilMs, change) {
      held = held === null ? null : await renewClaim(store.db, held, untilMs, change);
      return held !== null;
    },
  };
}

function sign({ store, keys, clock }: Place, image: StatedImage): Promise<number> {
  return store.transaction((tx) => signStatements(tx, image, () => activeSigner(tx, keys), clock.now()));
}

/** @returns false when another has taken the image over: two would write one list of statements */
async function deliver(house: Place, about: StatedImage, claim: Claim, signal: AbortSignal): Promise<boolean> {
  const { store, registry, clock } = house;
  const image = await imageAt(house, about);
  const there = new Set<string>(image === null ? [] : await bundlesOf(registry, about.repository, about.digest));
  for (const row of await signedStatements(store.db, about)) {
    signal.throwIfAborted();
    if (row.manifest !== null && there.has(row.manifest)) {
      if (row.deliveredAt === null) await recordDelivered(store.db, row, row.manifest, clock.now());
      continue;
    }
    if (image === null) {
      if (row.deliveredAt === null) await recordDelivered(store.db, row, null, clock.now());
      continue;
    }
    if (!(await claim.move(clock.now() + LEASE_MS))) return false;
    const manifest = await pushBundle(registry, { repository: about.repository, image }, row);
    passed('pushed');
    await recordDelivered(store.db, row, manifest, clock.now());
    passed('delivered');
  }
  return true;
}

/** Where its service has its names: brought there, when it was built for another service of the same contents. */
async function imageAt(
  { store, registry }: Place,
  { repository, digest }: StatedImage,
): Promise<StoredManifest | null> {
  const found = await registry.manifest(repository, digest);
  if (found !== null) return found;
  const built = await store.db
    .selectFrom('artifact')
    .select('repository')
    .where('digest', '=', digest)
    .where('state', '=', 'built')
    .executeTakeFirst();
  if (built === undefined || built.repository === repository) return null;
  await awaitRemovals(store, [repository]);
  await shareImage(registry, { from: built.repository, to: repository, digest });
  return registry.manifest(repository, digest);
}

function passed(point: 'signed' | 'pushed' | 'delivered'): void {
  passBoundary(point, 'done', 'statements');
}
