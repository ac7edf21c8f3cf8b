import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { type Digest, sha256 } from '../../../src/lib/digest.ts';
import { createEmbeddedRegistry } from '../../../src/registry/embedded/embedded.ts';
import { age } from '../../../src/registry/embedded/testing/age.ts';
import { imageTagOf } from '../../../src/registry/image-names.ts';
import { keepTag } from '../../../src/registry/keep-tag.ts';
import { parseManifest } from '../../../src/registry/manifest.ts';
import type { Registry } from '../../../src/registry/registry.ts';
import { pushImage, type TestImage, testImage } from '../../../src/registry/testing/images.ts';
import { json } from '../../../src/store/database.ts';
import type { Operation } from './operations.ts';
import { PROJECT, type Stage } from './stage.ts';

const REPOSITORY = `${PROJECT}/web`;

/** Somebody's own name, with which Towpath does nothing. */
const BY_HAND = 'by-hand';

/** It keeps a release that is not there, so that the sweep takes the name away and then the image. */
const OUTDATED = keepTag('qa', 999_999);

/** Of commits that no branch means any more; the second has a git tag, and is yanked. */
const LEFT_COMMIT = 'ab'.repeat(20);
const YANKED_COMMIT = 'cd'.repeat(20);
const YANKED_TAG = 'v0-yanked';

type Pushed = 'with a name' | 'with a name that is over' | 'without a name' | 'that is given up' | 'that is yanked';

const pushed = new WeakMap<Stage, Readonly<Record<Pushed, TestImage>>>();

/**
 * Everything in the registry is old: some of it has a name, the artifacts have only a root, one has had none for too long,
 * and of the rest a layer is shared with what stays.
 */
export const sweepRegistry: Operation = {
  name: 'a sweep of the registry',
  isResumed: false,
  async prepare(stage) {
    await stage.sweptAtStart(); // it marks what has a name, and would move aside what is made old here
    const registry = await registryOf(stage);
    const shared = { shared: randomBytes(8) };
    const push = async (own: string, tag?: string): Promise<TestImage> => {
      const image = await testImage([shared, { [own]: randomBytes(8) }]);
      await pushImage(registry, REPOSITORY, image, tag);
      return image;
    };
    pushed.set(stage, {
      'with a name': await push('named', BY_HAND),
      'with a name that is over': await push('over', OUTDATED),
      'without a name': await push('unnamed'),
      'that is given up': await push('given up', imageTagOf({ kind: 'commit', commit: LEFT_COMMIT })),
      'that is yanked': await push('yanked', imageTagOf({ kind: 'tag', tag: YANKED_TAG })),
    });
    await age(join(stage.data, 'registry'));
  },
  async perform(stage) {
    const before = await sweepsWritten(stage);
    const images = pushed.get(stage);
    await leaveArtifact(stage, {
      id: 'left',
      commit_sha: LEFT_COMMIT,
      digest: images?.['that is given up'].digest ?? '',
      artifact: { unneeded_since: new Date(0) },
    });
    await leaveArtifact(stage, {
      id: 'yanked',
      commit_sha: YANKED_COMMIT,
      digest: images?.['that is yanked'].digest ?? '',
      release: { yanked_at: new Date(), yank_reason: 'wrong tax', yanked_by: 'Ana' },
      tag: YANKED_TAG,
    });
    await ask(stage);
    return async () => {
      // who got no answer, and does not find the sweep in the audit trail, cannot know what went: he asks again
      if ((await sweepsWritten(stage)) === before) {
        await stage.sweptAtStart(); // it has marked what was there, and so keeps it for a day
        await age(join(stage.data, 'registry'));
        await ask(stage);
      }
      return (
        (await sweepsWritten(stage)) > before && (await readdir(join(stage.data, 'registry', 'limbo'))).length === 0
      );
    };
  },
  async tidy(stage) {
    pushed.delete(stage);
    for (const id of ['left', 'yanked']) await forgetArtifact(stage, id);
    await (await registryOf(stage)).deleteManifest(REPOSITORY, BY_HAND);
  },
};

interface Left {
  readonly id: string;
  readonly commit_sha: string;
  readonly digest: string;
  /** Nothing has needed it for longer than anything is kept. */
  readonly artifact?: { readonly unneeded_since: Date };
  readonly release?: { readonly yanked_at: Date; readonly yank_reason: string; readonly yanked_by: string };
  readonly tag?: string;
}

/** What nobody needs to be there. Only when it is looked at: care gives up too, at any time. */
async function leaveArtifact({ store }: Stage, left: Left): Promise<void> {
  const { id, commit_sha, digest, tag } = left;
  const { id: project_id, repository_id } = await store.db
    .selectFrom('project')
    .innerJoin('repository', 'repository.project_id', 'project.id')
    .select(['project.id', 'repository.id as repository_id'])
    .where('project.name', '=', PROJECT)
    .executeTakeFirstOrThrow();
  const service = 'web';
  const artifact = { key: id, service, builder: 'node', inputs: json({}), log_id: id, built_for_commit: commit_sha };
  const built = { state: 'built' as const, repository: REPOSITORY, digest, ...left.artifact };
  await store.transaction(async (tx) => {
    await tx
      .insertInto('artifact')
      .values({ project_id, ...artifact, ...built })
      .execute();
    const release = { id, project_id, repository_id, commit_sha, fingerprint: id, ...left.release };
    await tx
      .insertInto('release')
      .values({ ...release, state: 'ready', created_by: 'Ana' })
      .execute();
    await tx.insertInto('release_service').values({ release_id: id, service, artifact_key: id, commit_sha }).execute();
    if (tag !== undefined)
      await tx
        .insertInto('release_name')
        .values({ release_id: id, ref: `refs/tags/${tag}` })
        .execute();
  });
}

async function forgetArtifact({ store }: Stage, id: string): Promise<void> {
  await store.db.deleteFrom('release_service').where('artifact_key', '=', id).execute();
  await store.db.deleteFrom('release_name').where('release_id', '=', id).execute();
  await store.db.deleteFrom('release').where('id', '=', id).execute();
  await store.db.deleteFrom('artifact').where('key', '=', id).execute();
}

/** What is left of what was there before a sweep; nothing is said where none was asked for. */
export async function leftBySweep(stage: Stage): Promise<string[]> {
  const images = pushed.get(stage);
  if (images === undefined) return [];
  const registry = await registryOf(stage);
  const left: string[] = [];
  for (const [name, image] of Object.entries(images))
    left.push(`an image ${name} is ${await stateOf(registry, image)}`);
  const built = await stage.store.db
    .selectFrom('artifact')
    .select(['repository', 'digest'])
    .where('state', '=', 'built')
    .execute();
  const states = new Set<string>();
  for (const { repository, digest } of built)
    states.add((await isWhole(registry, repository, digest as Digest)) ? 'whole' : 'not whole');
  return [...left, ...[...states].map((state) => `what was built is ${state}`)];
}

async function stateOf(registry: Registry, { digest, config }: TestImage): Promise<'whole' | 'gone' | 'in part'> {
  if (await isWhole(registry, REPOSITORY, digest)) return 'whole';
  const isThere =
    (await registry.manifest(REPOSITORY, digest)) !== null ||
    (await registry.hasBlob(REPOSITORY, sha256(config))) !== null;
  return isThere ? 'in part' : 'gone';
}

async function isWhole(registry: Registry, repository: string, digest: Digest): Promise<boolean> {
  const manifest = await registry.manifest(repository, digest);
  if (manifest === null) return false;
  for (const blob of parseManifest(manifest.bytes, manifest.mediaType).blobs)
    if ((await registry.hasBlob(repository, blob.digest as Digest)) === null) return false;
  return true;
}

/** A server that dies of it takes the answer with it. */
async function ask(stage: Stage): Promise<void> {
  await stage
    .client()
    .call('registry.sweep', { body: {} })
    .catch(() => undefined);
}

async function sweepsWritten({ store }: Stage): Promise<number> {
  return (await store.db.selectFrom('audit').select('at').where('action', '=', 'registry.swept').execute()).length;
}

export async function registryOf({ data }: Pick<Stage, 'data'>): Promise<Registry> {
  return (await createEmbeddedRegistry({ directory: join(data, 'registry'), host: 'registry.test' })).registry();
}
