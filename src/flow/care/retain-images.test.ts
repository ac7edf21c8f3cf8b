import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';

import type { Digest } from '../../lib/digest.ts';
import { createEmbeddedRegistry } from '../../registry/embedded/embedded.ts';
import { isImmutableTag } from '../../registry/image-names.ts';
import type { Registry } from '../../registry/registry.ts';
import { json, type Store } from '../../store/database.ts';
import { testStore } from '../../store/testing.ts';
import { contentRoots } from './content-roots.ts';
import { retainImages } from './retain-images.ts';
import { digestsInUse } from './retention-facts.ts';

const log = pino({ level: 'silent' });

test('an environment keeps what runs and as many sets before it as it says, however many releases share one', async () => {
  const { store, registry } = await world({ keep: 2 });
  const digests = await runInTurn(store, registry, ['a', 'a', 'b', 'c', 'd', 'd']);
  for (const number of [1, 2, 3, 4, 5, 6]) await registry.tag('shop/web', at(digests, number), `keep-prod-s-${number}`);
  await retainImages({ store, registry, log });
  expect(pinsOf(await registry.tags('shop/web'))).toEqual([3, 4, 5, 6]);
  expect(await digestsInUse(store.db)).toEqual(new Set([3, 4, 5].map((number) => at(digests, number))));
});

test('each image says for what it stays: what runs, what can be rolled back to, and what was built', async () => {
  const { store, registry } = await world({ keep: 1 });
  const [a, b, c] = await runInTurn(store, registry, ['a', 'b', 'c']);
  const built = (commit: string) => `was built for ${commit}, whose releases can be promoted`;
  expect(Object.fromEntries(await contentRoots(store.db, registry.host))).toEqual({
    [`shop/web@${a}`]: [built('1')],
    [`shop/web@${b}`]: ['is in the rollback window of shop/prod (#2)', built('2')],
    [`shop/web@${c}`]: ['runs in shop/prod', built('3')],
  });
});

test('a pin that cannot be made stops neither the others nor the cleaning', async () => {
  const { store, registry } = await world({ keep: 1 });
  const digests = await runInTurn(store, registry, ['a', 'b', 'c']);
  await registry.tag('shop/web', at(digests, 1), 'keep-prod-s-1');
  const broken: Registry = {
    ...registry,
    tag: async (repository, digest, tag) => {
      if (tag === 'keep-prod-s-2') throw new Error('the registry answers 500');
      return registry.tag(repository, digest, tag);
    },
  };
  await retainImages({ store, registry: broken, log });
  expect(pinsOf(await registry.tags('shop/web'))).toEqual([3]);
  await retainImages({ store, registry, log });
  expect(pinsOf(await registry.tags('shop/web'))).toEqual([2, 3]);
});

async function world({ keep }: { keep: number }): Promise<{ store: Store; registry: Registry }> {
  const store = await testStore();
  const directory = await mkdtemp(join(tmpdir(), 'towpath-retention-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const embedded = await createEmbeddedRegistry({ directory, host: 'registry.test', immutable: isImmutableTag });
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  await store.db
    .insertInto('repository')
    .values({ id: 'r', project_id: 'p', url: 'file:///shop', default_branch: 'main' })
    .execute();
  await store.db
    .insertInto('environment')
    .values({ id: 'e', project_id: 'p', name: 'prod', slug: 'prod-s', position: 0, definition: json({ keep }) })
    .execute();
  return { store, registry: embedded.registry() };
}

/** Releases 1, 2, ... with these contents were live one after the other. @returns their digests */
async function runInTurn({ db }: Store, registry: Registry, contents: readonly string[]): Promise<Digest[]> {
  const digests: Digest[] = [];
  for (const [index, content] of contents.entries()) {
    const digest = await registry.putManifest('shop/web', `sha-${content}`, manifestOf(content));
    digests.push(digest);
    const id = `${index + 1}`;
    await db
      .insertInto('artifact')
      .values({
        key: content,
        project_id: 'p',
        service: 'web',
        builder: 'node',
        inputs: json({}),
        state: 'built',
        repository: 'shop/web',
        digest,
        log_id: `log ${content}`,
        built_for_commit: id,
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const release = { id, project_id: 'p', repository_id: 'r', commit_sha: id, fingerprint: content };
    await db
      .insertInto('release')
      .values({ ...release, state: 'ready', created_by: 'Ana' })
      .execute();
    await db
      .insertInto('release_service')
      .values({ release_id: id, service: 'web', artifact_key: content, commit_sha: id })
      .execute();
    const promotion = { id, project_id: 'p', environment_id: 'e', release_id: id, log_id: `log of ${id}` };
    await db
      .insertInto('promotion')
      .values({
        ...promotion,
        kind: 'promotion',
        automatic: true,
        requested_by: 'Ana',
        cause: 'a push',
        state: 'live',
        ended_at: new Date(index),
      })
      .execute();
    await db
      .insertInto('tenure')
      .values({ promotion_id: id, environment_id: 'e', release_id: id, began_at: new Date(index) })
      .execute();
    await db.updateTable('environment').set({ current_release_id: id }).execute();
  }
  return digests;
}

function manifestOf(content: string) {
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [], annotations: { content } }));
  return { mediaType, bytes };
}

function at(digests: readonly Digest[], release: number): Digest {
  return digests[release - 1] ?? expect.unreachable();
}

function pinsOf(tags: readonly string[]): number[] {
  return tags.flatMap((tag) => (tag.startsWith('keep-') ? [Number(tag.split('-').at(-1))] : [])).sort((a, b) => a - b);
}
