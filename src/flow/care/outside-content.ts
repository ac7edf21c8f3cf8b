import { sql } from 'kysely';

import type { Digest } from '../../lib/digest.ts';
import { hasCode } from '../../lib/error.ts';
import { limiter } from '../../lib/limiter.ts';
import type { HeldManifest, RegistryContent } from '../../registry/content.ts';
import { parseManifest } from '../../registry/manifest.ts';
import { beginRemoval } from '../../registry/removal-store.ts';
import { recordUnneeded, unneededSince } from '../../registry/unneeded-store.ts';
import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';
import { planContent } from './content-plan.ts';
import { keyOf } from './content-roots.ts';
import { namesakes, planNames } from './retain-images.ts';

type Place = Pick<House, 'store' | 'registry' | 'clock'>;

const AT_ONCE = 8;

/** The list of referrers of an image, where the registry keeps none by itself. */
const LIST_OF_REFERRERS = /^sha256-([0-9a-f]{64})$/;

/**
 * What a registry that somebody else runs holds of ours: the repositories of our projects and no other. It tells neither
 * what has no name nor how old something is, so an image goes when nothing was seen to need it for the whole time of
 * grace. Its own collector removes the content of what was deleted.
 */
export function outsideContent(place: Place & { readonly log: Pick<House['log'], 'warn'> }): RegistryContent {
  const { store, registry, clock, log } = place;
  let refused = false;
  return {
    held: () => look(place),
    async sweep({ kept, beforeMs, signal }) {
      const swept = { files: 0, bytes: 0 };
      const roots = new Map<string, string[]>();
      for await (const one of kept) roots.set(keyOf(one), ['is needed']);
      const unneeded = planContent(await look(place), roots, Number.POSITIVE_INFINITY).filter(({ stays }) => !stays);
      await recordUnneeded(
        store.db,
        unneeded.map(({ held }) => held),
        clock.now(),
      );
      for (const { held } of unneeded) {
        signal?.throwIfAborted();
        if (refused || held.usedMs >= beforeMs) continue;
        try {
          const isGone = await store.transaction(async (tx) => {
            await beginRemoval(tx, held.repository);
            if (await isWanted(tx, held)) return false; // somebody has begun since
            await registry.deleteManifest(held.repository, held.digest);
            return true;
          });
          if (!isGone) continue;
        } catch (error) {
          if (!hasCode(error, 'registry.unsupported')) throw error;
          refused = true;
          log.warn(
            `${registry.host} deletes nothing, so what nothing needs stays there. Let it, or clean it yourself.`,
          );
          continue;
        }
        swept.files += 1;
        swept.bytes += held.bytes;
      }
      return swept;
    },
  };
}

async function look({ store, registry, clock }: Place): Promise<HeldManifest[]> {
  const since = await unneededSince(store.db);
  const held = new Map<string, HeldManifest>();
  const inTurn = limiter(AT_ONCE);
  for (const ids of await namesakes(store.db)) {
    const { repositories, plans } = await planNames({ store, registry }, ids);
    for (const [index, { repository, tags }] of repositories.entries()) {
      const over = new Set(plans[index]?.remove.map(({ tag }) => tag));
      for (const digest of await builtThere({ store, registry }, repository))
        held.set(keyOf({ repository, digest }), unnamed(repository, digest, clock.now()));
      await Promise.all(
        tags.map((tag) =>
          inTurn(async () => {
            const found = await registry.manifest(repository, tag);
            if (found === null) return;
            const key = keyOf({ repository, digest: found.digest });
            const { blobs, manifests, subject } = parseManifest(found.bytes, found.mediaType);
            const [, listed] = LIST_OF_REFERRERS.exec(tag) ?? [];
            const names = over.has(tag) || listed !== undefined ? [] : [tag];
            held.set(key, {
              repository,
              digest: found.digest,
              tags: [...(held.get(key)?.tags ?? []), ...names],
              parts: manifests.map(({ digest }) => digest),
              blobs: blobs.map(({ digest }) => digest),
              subject: listed === undefined ? (subject?.digest ?? null) : `sha256:${listed}`,
              bytes: blobs.reduce((sum, { size }) => sum + size, 0),
              usedMs: since.get(key) ?? clock.now(),
            });
          }),
        ),
      );
    }
  }
  return [...held.values()];
}

/** Known by what was written down alone. */
function unnamed(repository: string, digest: string, usedMs: number): HeldManifest {
  return { repository, digest, tags: [], parts: [], blobs: null, subject: null, bytes: 0, usedMs };
}

/** What was given up may be gone by now; what is built is looked for elsewhere. */
async function builtThere({ store, registry }: Omit<Place, 'clock'>, repository: string): Promise<Digest[]> {
  const { rows } = await sql<{ digest: Digest; is_built: boolean }>`
    select digest, bool_or(state = 'built') as is_built from artifact
    where repository = ${repository} and digest is not null group by digest`.execute(store.db);
  const inTurn = limiter(AT_ONCE);
  const there = await Promise.all(
    rows.map(({ digest, is_built: isBuilt }) =>
      inTurn(async () => (isBuilt || (await registry.manifest(repository, digest)) !== null ? [digest] : [])),
    ),
  );
  return there.flat();
}

/** A build, a report of another CI or a promotion says so before it looks what is there. */
async function isWanted(db: Sql, { repository, digest }: HeldManifest): Promise<boolean> {
  const { rows } = await sql`
    select from artifact where repository = ${repository} and (state = 'building' or (state = 'built' and digest = ${digest}))
    union all
    select from artifact_report join project on project.id = artifact_report.project_id
    where ended_at is null and project.name || '/' || service = ${repository}
    union all
    select from promotion join release_service using (release_id) join artifact on artifact.key = artifact_key
    where promotion.ended_at is null and artifact.state = 'built' and artifact.digest = ${digest}
    limit 1`.execute(db);
  return rows.length > 0;
}
