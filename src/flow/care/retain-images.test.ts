import { pino } from 'pino';
import { expect, test } from 'vitest';

import type { Digest } from '../../lib/digest.ts';
import { type ImageName, imageTagOf, planTags } from '../../registry/image-names.ts';
import type { Registry } from '../../registry/registry.ts';
import { releaseById } from '../../release/release-store.ts';
import type { Store } from '../../store/database.ts';
import { nameImages } from '../name-images.ts';
import { contentRoots } from './content-roots.ts';
import { retainImages } from './retain-images.ts';
import { digestsInUse } from './retention-facts.ts';
import { runInTurn, world } from './testing/run-in-turn.ts';

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
  const built = (commit: string) => `was built for ${commit} and is not given up`;
  expect(Object.fromEntries(await contentRoots(store.db, registry.host, new Date()))).toEqual({
    [`shop/web@${a}`]: [built('1')],
    [`shop/web@${b}`]: ['is in the rollback window of shop/prod (#2)', built('2')],
    [`shop/web@${c}`]: ['runs in shop/prod', 'was the last that was to come into shop/prod', built('3')],
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

test('a name that is given while it is taken off is there afterwards, and one that is asked for before that stays', async () => {
  const { store, registry } = await world({ keep: 1 });
  const [a] = await runInTurn(store, registry, ['a', 'b', 'c']);
  const digest = a ?? expect.unreachable();
  const release = (await releaseById(store.db, '1')) ?? expect.unreachable();
  const name = () => nameImages({ registry, store }, release, () => planTags('shop/web', digest, [NAME]));
  const says = (state: 'built' | 'failed') =>
    store.db
      .updateTable('artifact')
      .set({ state, given_up_at: state === 'failed' ? new Date() : null })
      .where('key', '=', 'a')
      .execute();

  await name();
  await says('failed');
  let given: Promise<unknown> = Promise.resolve();
  const meeting: Registry = {
    ...registry,
    async deleteManifest(...wanted) {
      await says('built');
      given = name();
      await waitsForLock(store);
      await registry.deleteManifest(...wanted);
    },
  };
  await retainImages({ store, registry: meeting, log });
  await given;
  expect(await registry.tags('shop/web')).toContain(imageTagOf(NAME));

  await says('failed');
  let looks = 0;
  const late: Registry = {
    ...registry,
    async manifest(...wanted) {
      looks += 1;
      const held = await registry.manifest(...wanted);
      await says('built'); // after the look that says that it is over
      return held;
    },
  };
  await retainImages({ store, registry: late, log });
  expect(looks).toBe(1);
  expect(await registry.tags('shop/web')).toContain(imageTagOf(NAME));
  await says('failed');
  await retainImages({ store, registry, log });
  expect(await registry.tags('shop/web')).not.toContain(imageTagOf(NAME));
});

const NAME: ImageName = { kind: 'commit', commit: '1' };

async function waitsForLock({ pool }: Store): Promise<void> {
  const waiting = `select from pg_locks where locktype = 'advisory' and not granted
    and database = (select oid from pg_database where datname = current_database())`;
  await expect.poll(async () => (await pool.query(waiting)).rowCount, { timeout: 20_000 }).toBe(1);
}

function at(digests: readonly Digest[], release: number): Digest {
  return digests[release - 1] ?? expect.unreachable();
}

function pinsOf(tags: readonly string[]): number[] {
  return tags.flatMap((tag) => (tag.startsWith('keep-') ? [Number(tag.split('-').at(-1))] : [])).sort((a, b) => a - b);
}
