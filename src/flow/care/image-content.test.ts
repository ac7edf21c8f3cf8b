import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { createEmbeddedRegistry } from '../../registry/embedded/embedded.ts';
import { age } from '../../registry/embedded/testing/age.ts';
import { pushImage, testImage } from '../../registry/testing/images.ts';
import { json } from '../../store/database.ts';
import { testStore } from '../../store/testing.ts';
import { contentBefore, keptImages } from './image-content.ts';

const DAY_MS = 86_400_000;

test('what was built and what is built upon stays without a name; what no build delivered goes', async () => {
  const { db } = await testStore();
  const directory = await mkdtemp(join(tmpdir(), 'towpath-content-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const embedded = await createEmbeddedRegistry({ directory, host: 'registry.test:7070' });
  const registry = embedded.registry();
  const pushed = async (says: string) => {
    const image = await testImage([{ says }]);
    await pushImage(registry, 'shop/web', image);
    return image.digest;
  };
  const [built, failed, pinned, pin] = [
    await pushed('built'),
    await pushed('its check failed'),
    await pushed('pinned'),
    await pushed('what a build is built upon'),
  ];
  await db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  const artifact = (key: string, state: 'built' | 'failed' | 'building', more: object) =>
    db
      .insertInto('artifact')
      .values({
        key,
        state,
        project_id: 'p',
        service: 'web',
        builder: 'node',
        inputs: json({ pins: { 'towpath:node-22': failed, 'registry.test:7070/shop/web:old': pin } }),
        repository: 'shop/web',
        log_id: key,
        built_for_commit: 'c',
        ...more,
      })
      .execute();
  await artifact('built', 'built', { digest: built });
  await artifact('failed', 'failed', {});
  await db
    .insertInto('base_pin')
    .values([
      { project_id: 'p', reference: 'registry.test:7070/shop/web:main', digest: pinned, pinned_by: 'olga' },
      { project_id: 'p', reference: 'elsewhere.test/shop/web:main', digest: failed, pinned_by: 'olga' },
      { project_id: 'p', reference: 'towpath:node-22', digest: failed, pinned_by: 'olga' },
    ])
    .execute();
  await artifact('building', 'building', { requested_at: new Date(Date.now() - 10 * DAY_MS) });
  await age(directory);
  const sweep = async () =>
    embedded.sweepContent({
      kept: keptImages(db, registry.host),
      beforeMs: await contentBefore(db, Date.now()),
    });

  expect(await sweep()).toEqual({ files: 0, bytes: 0 }); // an image of the build under way may be among it
  await db.updateTable('artifact').set({ requested_at: new Date() }).where('key', '=', 'building').execute();
  expect(await sweep()).toMatchObject({ files: 3 });
  for (const digest of [built, pinned, pin]) expect(await registry.tag('shop/web', digest, 'later')).toBe('tagged');
  expect(await registry.manifest('shop/web', failed)).toBeNull();
});

test('however many artifacts there are, each is kept', async () => {
  const { db, pool } = await testStore();
  await db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  await pool.query(`insert into artifact (key, project_id, service, builder, inputs, state, repository, digest, log_id, built_for_commit)
    select 'k' || n, 'p', 'web', 'node', '{}', 'built', 'shop/web', 'sha256:' || n, 'l', 'c' from generate_series(1, 2500) n`);
  const digests = new Set<string>();
  for await (const { digest } of keptImages(db, 'registry.test')) digests.add(digest);
  expect(digests.size).toBe(2500);
});
