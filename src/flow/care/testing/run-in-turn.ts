import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import type { Digest } from '../../../lib/digest.ts';
import { createEmbeddedRegistry } from '../../../registry/embedded/embedded.ts';
import { isImmutableTag } from '../../../registry/image-names.ts';
import type { Registry } from '../../../registry/registry.ts';
import { json, type Store } from '../../../store/database.ts';
import { testStore } from '../../../store/testing.ts';

/** A project with one environment, `prod`, on a store of its own and, where none is given, on a registry of its own. */
export async function world({ keep, registry }: { keep: number; registry?: Registry }): Promise<{
  store: Store;
  registry: Registry;
}> {
  const store = await testStore();
  await store.db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  await store.db
    .insertInto('repository')
    .values({ id: 'r', project_id: 'p', url: 'file:///shop', default_branch: 'main' })
    .execute();
  await store.db
    .insertInto('environment')
    .values({ id: 'e', project_id: 'p', name: 'prod', slug: 'prod-s', position: 0, definition: json({ keep }) })
    .execute();
  return { store, registry: registry ?? (await embedded()) };
}

/** Releases 1, 2, ... with these contents were live one after the other. @returns their digests */
export async function runInTurn({ db }: Store, registry: Registry, contents: readonly string[]): Promise<Digest[]> {
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

async function embedded(): Promise<Registry> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-retention-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return (await createEmbeddedRegistry({ directory, host: 'registry.test', immutable: isImmutableTag })).registry();
}
