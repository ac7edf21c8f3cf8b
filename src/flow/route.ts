import { rulingConfig } from '../config/config-store.ts';
import { ensurePreview, environmentNamed } from '../environment/environment-store.ts';
import { environmentOf } from '../environment/place.ts';
import { pullNumber } from '../git/ref.ts';
import { hasCode, type Problem, problemOf } from '../lib/error.ts';
import type { PathEnvironment } from '../path/path.ts';
import { requestPromotion } from '../path/promotion-store.ts';
import { planRoutes, pullName, type Route } from '../path/triggers.ts';
import { type ImageName, planTags } from '../registry/image-names.ts';
import type { Release } from '../release/release.ts';
import { requireRelease } from '../release/release-store.ts';
import { repositoriesOf, type Watched } from '../source/member-store.ts';
import { recordEvent } from '../store/event-store.ts';
import type { Tx } from '../store/database.ts';
import { isCancelled } from './engine/cancelled.ts';
import { durable } from './engine/durable.ts';
import { step, transaction } from './engine/step.ts';
import type { House } from './house.ts';
import { move } from './move.ts';
import { nameImages } from './name-images.ts';
import { placesOf } from './places.ts';
import { isTransient } from './transient.ts';

type Named =
  | { readonly kind: 'named' }
  | { readonly kind: 'refused'; readonly what: string; readonly fix: string }
  /** It could not be done for as long as we tried: the registry is away, or does not let us now. */
  | { readonly kind: 'later'; readonly problem: Problem };

/** A release is ready and a ref points at it: its artifacts get their names, and the environments that want it are asked. */
export function routeFlow(house: House) {
  return durable('route', async ({ releaseId, ref, again = 0 }: { releaseId: string; ref: string; again?: number }) => {
    const named = await step('name', () => nameArtifacts(house, releaseId, ref), {
      retry: { attempts: 6, firstMs: 500, when: isTransient },
    }).catch(toLater);
    await transaction('ask', (tx) =>
      named.kind === 'later'
        ? tryLater(house, tx, { releaseId, ref, again: again + 1 }, named.problem)
        : ask(house, tx, releaseId, ref, named),
    );
  });
}

function toLater(error: unknown): Named {
  if (isCancelled(error)) throw error;
  return { kind: 'later', problem: problemOf(error) };
}

/** The next try is a row before this one ends, so that nothing is lost. */
async function tryLater(
  house: House,
  tx: Tx,
  { releaseId, ref, again }: { releaseId: string; ref: string; again: number },
  problem: Problem,
): Promise<void> {
  const { projectId } = await requireRelease(house.store.db, releaseId);
  await recordEvent(tx, { projectId, kind: 'release.unnamed', subject: releaseId, data: { ref, problem } });
  await house.starts.route(tx, releaseId, ref, again);
}

/** A branch's name is its head's: what was built late of a commit that it has left gives it no name. */
async function isHead({ store }: House, { repositoryId, commit }: Release, ref: string): Promise<boolean> {
  const row = await store.db
    .selectFrom('ref')
    .select('commit_sha')
    .where('repository_id', '=', repositoryId)
    .where('name', '=', ref)
    .executeTakeFirst();
  return row?.commit_sha === commit;
}

/** A tag that named other artifacts before does not move; the refusal is told to those who look at the promotion. */
async function nameArtifacts(house: House, releaseId: string, ref: string): Promise<Named> {
  const release = await requireRelease(house.store.db, releaseId);
  const names = namesFor(release.commit, ref);
  const given = (await isHead(house, release, ref)) ? names : names.filter(({ kind }) => kind !== 'branch');
  try {
    await nameImages(house, release, ({ repository, digest }) => planTags(repository, digest, given));
    return { kind: 'named' };
  } catch (error) {
    if (!hasCode(error, 'registry.tag-immutable')) throw error;
    const { what, fix } = problemOf(error);
    return { kind: 'refused', what, fix };
  }
}

function namesFor(commit: string, ref: string): ImageName[] {
  const pull = pullNumber(ref);
  const branch = pull === null ? ref.slice('refs/heads/'.length) : pullName(pull);
  const name: ImageName = ref.startsWith('refs/tags/')
    ? { kind: 'tag', tag: ref.slice('refs/tags/'.length) }
    : { kind: 'branch', branch };
  return [{ kind: 'commit', commit }, name];
}

async function ask(
  house: House,
  tx: Tx,
  releaseId: string,
  ref: string,
  named: Exclude<Named, { kind: 'later' }>,
): Promise<void> {
  const release = await requireRelease(house.store.db, releaseId);
  const ruling = await rulingConfig(tx, release.projectId);
  if (ruling === null || (await isGone(tx, release.repositoryId, ref))) return;
  const wishes: { environmentId: string; cause: string }[] = [];
  const repository = (await repositoriesOf(tx, release.projectId)).find(({ id }) => id === release.repositoryId);
  if (repository === undefined) return; // the home names it no more
  const places = placesOf(ruling.config, repository.name);
  for (const route of planRoutes(places, ref, repository.defaultBranch)) {
    const definition = places[route.environment];
    if (definition === undefined) continue;
    const position = Object.keys(places).indexOf(route.environment);
    const environmentId = await environmentFor(house, tx, repository, release, { ...route, ref }, definition, position);
    wishes.push({ environmentId, cause: route.cause });
  }
  // each wish locks its environment: everybody takes several in the order of their ids
  for (const wish of wishes.toSorted((one, other) => (one.environmentId < other.environmentId ? -1 : 1))) {
    const { id } = await requestPromotion(tx, {
      ...wish,
      projectId: release.projectId,
      releaseId,
      kind: 'promotion',
      automatic: true,
      ref,
      requestedBy: release.createdBy,
    });
    if (named.kind === 'named') await house.starts.promote(tx, id);
    else {
      const reasons = [{ gate: 'tag', what: named.what, fix: named.fix }];
      await move(tx, id, { to: 'refused', detail: { reasons } });
    }
  }
}

async function environmentFor(
  house: House,
  tx: Tx,
  { id: repositoryId, name: member }: Watched,
  release: Release,
  route: Route & { readonly ref: string },
  definition: PathEnvironment,
  position: number,
): Promise<string> {
  if (route.previewBranch === undefined) return (await environmentNamed(tx, release.projectId, route.environment)).id;
  const ttlMs = definition.ephemeral?.ttlMs ?? 0;
  return ensurePreview(tx, {
    projectId: release.projectId,
    repositoryId,
    member,
    template: environmentOf(route.environment),
    branch: route.previewBranch,
    ref: route.ref,
    position,
    definition,
    expiresAt: new Date(house.clock.now() + ttlMs),
  });
}

/** A ref that was deleted while its commit was being built asks for nothing any more. */
async function isGone(tx: Tx, repositoryId: string, ref: string): Promise<boolean> {
  const row = await tx
    .selectFrom('ref')
    .select('deleted_at')
    .where('repository_id', '=', repositoryId)
    .where('name', '=', ref)
    .executeTakeFirst();
  return row === undefined || row.deleted_at !== null;
}
