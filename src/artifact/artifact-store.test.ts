import { beforeEach, expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import type { Store } from '../store/database.ts';
import { testStore } from '../store/testing.ts';
import {
  artifactByKey,
  type BuiltRecord,
  claimArtifacts,
  recordBuilt,
  recordBuildFailed,
  retryArtifact,
} from './artifact-store.ts';
import { pinBase, pinsOf } from './pin-store.ts';

const PROJECT = 'prj_1';
const problem = { code: 'artifact.build-failed', what: 'npm has no such package.', fix: 'Fix it.' };
let store: Store;

beforeEach(async () => {
  store = await testStore();
  await store.db.insertInto('project').values({ id: PROJECT, name: 'shop' }).execute();
});

function wanted(...keys: string[]) {
  return keys.map((key) => ({
    key,
    depth: 0,
    service: 'web',
    builder: 'node',
    repository: 'shop/web',
    inputs: { v: 1 },
  }));
}

function built(text: string): BuiltRecord {
  return { digest: sha256(text), mediaType: 'image', sizeBytes: 1, provenance: {} };
}

test('of many who want the same keys at once, in any order, each key is given to one', async () => {
  const keys = Array.from({ length: 12 }, (_, index) => `key-${index}`);
  const claims = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      store.transaction((tx) =>
        claimArtifacts(tx, PROJECT, `commit-${index}`, wanted(...(index % 2 === 0 ? keys : keys.toReversed()))),
      ),
    ),
  );
  expect(claims.flat().toSorted()).toEqual(keys.toSorted());
  expect(await claimArtifacts(store.db, PROJECT, 'later', wanted(...keys, 'new'))).toEqual(['new']);
});

test('a key that was built keeps its first digest, whatever a late writer says', async () => {
  await claimArtifacts(store.db, PROJECT, 'c1', wanted('k'));
  await recordBuilt(store.db, 'k', built('first'));
  await recordBuilt(store.db, 'k', built('second'));
  await recordBuildFailed(store.db, 'k', problem);
  expect(await artifactByKey(store.db, 'k')).toMatchObject({
    state: 'built',
    digest: sha256('first'),
    problem: null,
    builtForCommit: 'c1',
  });
});

test('a failed key is given to one who tries again, with a log of its own', async () => {
  await claimArtifacts(store.db, PROJECT, 'c1', wanted('k'));
  expect(await retryArtifact(store.db, 'k', 'c2')).toBeNull();
  await recordBuildFailed(store.db, 'k', problem);
  const before = await artifactByKey(store.db, 'k');
  expect(before).toMatchObject({ state: 'failed', problem, attempt: 1 });
  const tries = await Promise.all([1, 2, 3].map(() => retryArtifact(store.db, 'k', 'c2')));
  const given = tries.filter((one) => one !== null);
  expect(given).toEqual([{ attempt: 2, logId: expect.any(String) }]);
  expect(given[0]?.logId).not.toBe(before?.logId);
  expect(await artifactByKey(store.db, 'k')).toMatchObject({ builtForCommit: 'c2' });
});

test('a base is pinned once: all who resolve it at once agree', async () => {
  const answers = await Promise.all(
    ['one', 'two', 'three'].map((text) => pinBase(store.db, PROJECT, 'node:22', sha256(text), 'ana')),
  );
  expect(new Set(answers).size).toBe(1);
  expect(await pinsOf(store.db, PROJECT, ['node:22', 'other'])).toEqual({ 'node:22': answers[0] });
});
