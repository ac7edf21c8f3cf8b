import { pino } from 'pino';
import { expect, test } from 'vitest';

import type { Digest } from '../../lib/digest.ts';
import type { Registry } from '../../registry/registry.ts';
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

function at(digests: readonly Digest[], release: number): Digest {
  return digests[release - 1] ?? expect.unreachable();
}

function pinsOf(tags: readonly string[]): number[] {
  return tags.flatMap((tag) => (tag.startsWith('keep-') ? [Number(tag.split('-').at(-1))] : [])).sort((a, b) => a - b);
}
