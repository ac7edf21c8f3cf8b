import { beforeEach, expect, test } from 'vitest';

import { recordBuildFailed, recordBuilt, retryArtifact } from '../artifact/artifact-store.ts';
import { sha256 } from '../lib/digest.ts';
import type { Store } from '../store/database.ts';
import { testStore } from '../store/testing.ts';
import { cutRelease } from './cut-store.ts';
import { findRelease } from './find-store.ts';
import { nameOf } from './release.ts';
import {
  listReleases,
  nameRelease,
  namesOf,
  readyNear,
  recordedNamesOf,
  releaseById,
  releasesByIds,
  settleRelease,
} from './release-store.ts';
import { PROJECT, REPOSITORY, seedProject, seedRelease } from './testing/releases.ts';
import { unyankRelease, yankRelease } from './yank-store.ts';

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);
let store: Store;

beforeEach(async () => {
  store = await testStore();
  await seedProject(store.db);
});

async function release(id: string) {
  const found = await releaseById(store.db, id);
  if (found === null) throw new Error(`There is no ${id}.`);
  return found;
}

test('of many who cut the release of one commit at once, all get the same one', async () => {
  await seedRelease(store.db, { commit: B, keys: { web: 'k1', api: 'k2' } });
  const cut = () =>
    store.transaction((tx) =>
      cutRelease(tx, {
        projectId: PROJECT,
        repositoryId: REPOSITORY,
        commit: A,
        mixed: false,
        createdBy: 'ana',
        problem: null,
        services: [
          { service: 'web', key: 'k1', commit: A },
          { service: 'api', key: 'k2', commit: A },
        ],
      }),
    );
  const ids = await Promise.all(Array.from({ length: 8 }, cut));
  expect(new Set(ids).size).toBe(1);
  expect((await release(ids[0] ?? '')).services.map(({ service }) => service)).toEqual(['api', 'web']);
});

test('a commit has one whole release, and any number of mixed ones', async () => {
  const whole = await seedRelease(store.db, { commit: A, keys: { web: 'k1' } });
  const mixes = [
    await seedRelease(store.db, { commit: A, keys: { web: 'k1' }, mixed: true }),
    await seedRelease(store.db, { commit: A, keys: { web: 'k1' }, mixed: true }),
  ];
  expect(new Set([whole, ...mixes]).size).toBe(3);
  expect(nameOf(await release(whole), [])).toBe('aaaaaaa');
});

test('a branch that begins at the head of the default branch does not rename what runs', async () => {
  const one = await seedRelease(store.db, { commit: A, keys: { web: 'k1' } });
  for (const ref of ['refs/heads/old', 'refs/heads/main', 'refs/heads/new']) {
    await nameRelease(store.db, one, ref);
    const row = { repository_id: REPOSITORY, name: ref, oid: A, commit_sha: A };
    await store.db.insertInto('ref').values(row).execute();
  }
  const names = (await namesOf(store.db, [one])).get(one);
  expect(names).toEqual(['refs/heads/main', 'refs/heads/new', 'refs/heads/old']);
});

test('a refresh of base images cuts the next edition of a commit; seen again for another reason it has the same', async () => {
  const one = await seedRelease(store.db, { commit: A, keys: { web: 'k1' } });
  for (const ref of ['refs/heads/main', 'refs/tags/v1']) {
    await nameRelease(store.db, one, ref);
    const row = { repository_id: REPOSITORY, name: ref, oid: A, commit_sha: A };
    await store.db.insertInto('ref').values(row).execute();
  }
  expect(await seedRelease(store.db, { commit: A, keys: { web: 'k1' }, anew: true })).toBe(one);
  const two = await seedRelease(store.db, { commit: A, keys: { web: 'k2' }, anew: true });
  await nameRelease(store.db, two, 'refs/heads/main');
  expect(await release(two)).toMatchObject({ edition: 2, state: 'ready', services: [{ key: 'k2' }] });
  expect(await release(one)).toMatchObject({ edition: 1, services: [{ key: 'k1' }] });
  expect(await seedRelease(store.db, { commit: A, keys: { web: 'k3' } })).toBe(two);

  const found = async (word: string) => (await findRelease(store.db, PROJECT, word)).id;
  expect(await Promise.all(['main', 'v1', A, 'aaaaaaa', 'aaaaaaa.1', 'aaaaaaa.2'].map(found))).toEqual([
    two,
    one,
    two,
    two,
    one,
    two,
  ]);
  expect(Object.fromEntries(await namesOf(store.db, [one, two]))).toEqual({
    [one]: ['refs/tags/v1'],
    [two]: ['refs/heads/main'],
  });
});

test('many who refresh at once cut one edition, and one that failed takes nothing away', async () => {
  const one = await seedRelease(store.db, { commit: A, keys: { web: 'k1' } });
  await seedRelease(store.db, { commit: B, keys: { web: 'k2' }, built: false });
  const cut = (anew: boolean) =>
    store.transaction((tx) =>
      cutRelease(tx, {
        projectId: PROJECT,
        repositoryId: REPOSITORY,
        commit: A,
        mixed: false,
        anew,
        createdBy: 'ana',
        problem: null,
        services: [{ service: 'web', key: 'k2', commit: A }],
      }),
    );
  const ids = await Promise.all(Array.from({ length: 8 }, () => cut(true)));
  expect(new Set(ids).size).toBe(1);
  await recordBuildFailed(store.db, 'k2', { code: 'x', what: 'it broke.', fix: 'Mend it.' });
  await settleRelease(store.db, ids[0] ?? '');
  expect(await cut(false)).toBe(one);
});

test('it is ready when the last of its artifacts is, be they recorded at the same moment', async () => {
  const id = await seedRelease(store.db, { commit: A, keys: { web: 'k1', api: 'k2', jobs: 'k3' }, built: false });
  expect(await release(id)).toMatchObject({ state: 'building' });
  const states = await Promise.all(
    ['k1', 'k2', 'k3'].map((key) =>
      store.transaction(async (tx) => {
        await recordBuilt(tx, key, { digest: sha256(key), mediaType: 'image', sizeBytes: 1, provenance: {} });
        return settleRelease(tx, id);
      }),
    ),
  );
  expect(states.filter((state) => state === 'ready')).toHaveLength(1);
  expect(await release(id)).toMatchObject({ state: 'ready' });
});

test('one artifact that failed fails it with a reason; tried again, it is being built again', async () => {
  const id = await seedRelease(store.db, { commit: A, keys: { web: 'k1' }, built: false });
  await recordBuildFailed(store.db, 'k1', { code: 'x', what: 'a test failed.', fix: 'Fix it.' });
  expect(await settleRelease(store.db, id)).toBe('failed');
  expect(await release(id)).toMatchObject({
    problem: { code: 'release.build-failed', what: '"web" has no artifact: a test failed.', fix: 'Fix it.' },
  });
  await retryArtifact(store.db, 'k1', B);
  expect(await settleRelease(store.db, id)).toBe('building');
  expect(await release(id)).toMatchObject({ problem: null });
});

test('people find it by number, tag, branch, and the beginning of its commit', async () => {
  const one = await seedRelease(store.db, { commit: A, keys: { web: 'k1' } });
  const two = await seedRelease(store.db, { commit: B, keys: { web: 'k2' } });
  await nameRelease(store.db, one, 'refs/heads/main');
  await nameRelease(store.db, one, 'refs/tags/v1');
  await nameRelease(store.db, two, 'refs/heads/main');
  const { number } = await release(one);
  for (const word of [one, String(number), `#${number}`, 'v1', 'refs/tags/v1', 'aaaaaaa', A])
    expect((await findRelease(store.db, PROJECT, word)).id).toBe(one);
  expect((await findRelease(store.db, PROJECT, 'main')).id).toBe(two);
  await expect(findRelease(store.db, PROJECT, 'nothing')).rejects.toMatchObject({ code: 'release.unknown' });
  await expect(findRelease(store.db, 'prj_2', one)).rejects.toMatchObject({ code: 'release.unknown' });
});

test('it is called by the refs that mean its commit now; the others are remembered', async () => {
  const one = await seedRelease(store.db, { commit: A, keys: { web: 'k1' } });
  const refs = ['refs/heads/main', 'refs/heads/gone', 'refs/tags/moved', 'refs/tags/v1'];
  const places = { 'refs/heads/main': A, 'refs/heads/gone': A, 'refs/tags/moved': B, 'refs/tags/v1': A };
  for (const ref of refs) await nameRelease(store.db, one, ref);
  for (const [name, commit] of Object.entries(places)) {
    const deleted = name.endsWith('gone') ? new Date() : null;
    const row = { repository_id: REPOSITORY, name, oid: commit, commit_sha: commit, deleted_at: deleted };
    await store.db.insertInto('ref').values(row).execute();
  }
  expect((await namesOf(store.db, [one])).get(one)).toEqual(['refs/tags/v1', 'refs/heads/main']);
  expect((await recordedNamesOf(store.db, [one])).get(one)?.toSorted()).toEqual(refs.toSorted());
});

test('a branch is where it points now, though an older commit of it was read later', async () => {
  const newer = await seedRelease(store.db, { commit: B, keys: { web: 'k2' } });
  await nameRelease(store.db, newer, 'refs/heads/main');
  const older = await seedRelease(store.db, { commit: A, keys: { web: 'k1' } });
  await nameRelease(store.db, older, 'refs/heads/main');
  await store.db
    .insertInto('ref')
    .values({ repository_id: REPOSITORY, name: 'refs/heads/main', oid: B, commit_sha: B })
    .execute();
  expect((await findRelease(store.db, PROJECT, 'main')).id).toBe(newer);
});

test('a beginning that two commits share is refused', async () => {
  await seedRelease(store.db, { commit: `1234567a${'0'.repeat(32)}`, keys: { web: 'k1' } });
  await seedRelease(store.db, { commit: `1234567b${'0'.repeat(32)}`, keys: { web: 'k1' } });
  await expect(findRelease(store.db, PROJECT, '1234567a0')).resolves.toMatchObject({ mixed: false });
  await expect(findRelease(store.db, PROJECT, '1234567')).rejects.toMatchObject({ code: 'release.ambiguous' });
  expect((await findRelease(store.db, PROJECT, '1234567b')).commit).toMatch(/^1234567b/);
});

test('a yank bars every release with the same artifacts, and lifting it by any of them frees them all', async () => {
  const code = await seedRelease(store.db, { commit: A, keys: { web: 'k1' } });
  const docsOnly = await seedRelease(store.db, { commit: B, keys: { web: 'k1' } });
  const other = await seedRelease(store.db, { commit: 'c'.repeat(40), keys: { web: 'k2' } });
  expect(await yankRelease(store.db, code, 'wrong tax', 'olga')).toBe(true);
  expect(await yankRelease(store.db, code, 'again', 'bob')).toBe(false);
  const yanks = (await releasesByIds(store.db, [code, docsOnly, other])).map(({ yank }) => yank?.reason ?? null);
  expect(yanks).toEqual(['wrong tax', 'wrong tax', null]);
  expect(await readyNear(store.db, await release(other), 5)).toHaveLength(1);
  expect(await unyankRelease(store.db, await release(docsOnly))).toBe(true);
  expect(await unyankRelease(store.db, await release(docsOnly))).toBe(false);
  expect(await release(code)).toMatchObject({ yank: null });
});

test('releases that have no artifacts at all are not barred with each other', async () => {
  const broken = await seedRelease(store.db, { commit: A, keys: {} });
  const alsoBroken = await seedRelease(store.db, { commit: B, keys: {} });
  await yankRelease(store.db, broken, 'broken', 'olga');
  expect(await release(alsoBroken)).toMatchObject({ yank: null });
});

test('what could go instead is ready, whole, older, and not barred by a twin', async () => {
  const bad = await seedRelease(store.db, { commit: '1'.repeat(40), keys: { web: 'k1' } });
  await seedRelease(store.db, { commit: '2'.repeat(40), keys: { web: 'k1' } });
  await seedRelease(store.db, { commit: '3'.repeat(40), keys: { web: 'k3' } });
  await seedRelease(store.db, { commit: '3'.repeat(40), keys: { web: 'k3' }, mixed: true });
  const failed = await seedRelease(store.db, { commit: '4'.repeat(40), keys: { web: 'k4' }, built: false });
  await seedRelease(store.db, { commit: '5'.repeat(40), keys: { web: 'k5' } });
  await yankRelease(store.db, bad, 'wrong tax', 'olga');
  const near = await readyNear(store.db, await release(failed), 3);
  expect(near).toEqual([expect.stringMatching(/^#\d+ \(3333333\)$/)]);
});

test('pages follow each other without a gap', async () => {
  const ids: string[] = [];
  for (const digit of '12345')
    ids.push(await seedRelease(store.db, { commit: digit.repeat(40), keys: { web: `k${digit}` } }));
  const first = await listReleases(store.db, PROJECT, 2);
  const second = await listReleases(store.db, PROJECT, 2, first.at(-1)?.number);
  const third = await listReleases(store.db, PROJECT, 2, second.at(-1)?.number);
  expect([...first, ...second, ...third].map(({ id }) => id)).toEqual(ids.toReversed());
});
