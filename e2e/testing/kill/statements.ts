import { bundlesOf } from '../../../src/attestation/referrer.ts';
import type { Digest } from '../../../src/lib/digest.ts';
import type { Operation } from './operations.ts';
import { PROJECT, type Stage } from './stage.ts';
import { registryOf } from './sweep.ts';

/** One fact, whose statement is then signed and put beside the image. No workflow does that: any worker goes on with it. */
export const stateYank: Operation = {
  name: 'a yank that is stated',
  isResumed: false,
  prepare: () => Promise.resolve(),
  async perform(stage) {
    const release = await newest(stage);
    const wish = { params: { project: PROJECT, release }, body: { reason: 'it is killed for' } };
    // the statement may be on its way, and the server dead, before there is an answer
    await stage
      .client()
      .call('release.yank', wish)
      .catch(() => undefined);
    return () => Promise.resolve(true);
  },
  async tidy(stage) {
    await stage.client().call('release.unyank', { params: { project: PROJECT, release: await newest(stage) } });
  },
};

/** Every statement is delivered, and what lies beside each image is what was. */
export async function wrongBesideImages({ store, data }: Stage): Promise<string[]> {
  const rows = await store.db
    .selectFrom('attestation')
    .select(['repository', 'digest', 'sequence', 'manifest', 'delivered_at'])
    .orderBy('sequence')
    .execute();
  const wrong = rows.some(({ delivered_at: at }) => at === null) ? ['a statement is not delivered'] : [];
  const registry = await registryOf({ data });
  const images = new Map(rows.map((row) => [`${row.repository}@${row.digest}`, row]));
  for (const { repository, digest } of images.values()) {
    const own = rows.filter((row) => row.repository === repository && row.digest === digest);
    if (own.some(({ sequence }, i) => sequence !== i + 1)) wrong.push('a chain of statements has a gap');
    if ((await registry.manifest(repository, digest)) === null) continue;
    const there = await bundlesOf(registry, repository, digest as Digest);
    const meant = own.flatMap(({ manifest }) => (manifest === null ? [] : [manifest]));
    if (there.toSorted().join() !== meant.toSorted().join()) wrong.push('other statements lie beside an image');
  }
  return wrong;
}

async function newest({ store }: Stage): Promise<string> {
  const { id } = await store.db
    .selectFrom('release')
    .innerJoin('project', 'project.id', 'release.project_id')
    .select('release.id')
    .where('project.name', '=', PROJECT)
    .where('state', '=', 'ready')
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();
  return id;
}
