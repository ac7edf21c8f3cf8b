import { expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import type { Store } from '../store/database.ts';
import { testStore } from '../store/testing.ts';
import type { Evidence } from './evidence.ts';
import { standingOf } from './evidence.ts';
import { evidenceById, evidenceOfDigest, evidenceOfRelease, latestAnswers, recordEvidence } from './evidence-store.ts';

const passed: Evidence = {
  id: 'evd_1',
  projectId: 'prj_1',
  question: 'q-unit',
  check: 'unit',
  service: 'web',
  releaseId: null,
  environmentId: null,
  digests: { web: sha256('web') },
  answer: {
    verdict: 'passed',
    summary: '2 passed, 0 failed, 0 skipped',
    tests: { passed: 2, failed: 0, skipped: 0, failures: [] },
    ran: { runner: 'bwrap', isolates: true },
  },
  logId: 'log_1',
};
const failed: Evidence = { ...passed, id: 'evd_2', answer: { verdict: 'failed', summary: 'exit code 1' } };

test('what was recorded is read as it was', async () => {
  const { db } = await shop();
  await recordEvidence(db, passed);
  expect((await latestAnswers(db, ['q-unit'])).get('q-unit')).toEqual({ ...passed, at: expect.any(Date) });
});

test('a failed re-run revokes an earlier pass', async () => {
  const { db } = await shop();
  await recordEvidence(db, passed);
  await recordEvidence(db, failed);
  expect((await latestAnswers(db, ['q-unit'])).get('q-unit')?.answer.verdict).toBe('failed');
});

test('recording twice under one id is recording once, and the first stays', async () => {
  const { db } = await shop();
  await recordEvidence(db, passed);
  await recordEvidence(db, { ...failed, id: passed.id });
  const answers = await latestAnswers(db, ['q-unit']);
  expect([...answers.values()].map(({ answer }) => answer.verdict)).toEqual(['passed']);
  expect(await db.selectFrom('evidence').select('id').execute()).toHaveLength(1);
});

test('an answer is found by its id, and one that was never given is not', async () => {
  const { db } = await shop();
  await recordEvidence(db, passed);
  expect(await evidenceById(db, passed.id)).toEqual({ ...passed, at: expect.any(Date) });
  expect(await evidenceById(db, 'evd_0')).toBeNull();
});

test('missing evidence is never green', async () => {
  const { db } = await shop();
  await recordEvidence(db, failed);
  const wanted = ['q-unit', 'q-other'].map((question) => ({ check: 'unit', service: 'web', question }));
  const latest = await latestAnswers(
    db,
    wanted.map(({ question }) => question),
  );
  expect(standingOf(wanted, latest).map(({ state }) => state)).toEqual(['failed', 'missing']);
  expect(standingOf(wanted, await latestAnswers(db, [])).map(({ state }) => state)).toEqual(['missing', 'missing']);
});

test('a release shows the latest answer of each check of each service', async () => {
  const { db } = await shop();
  const of = { releaseId: 'rel_1' };
  await recordEvidence(db, { ...passed, ...of });
  await recordEvidence(db, { ...failed, ...of, question: 'q-unit-2' });
  await recordEvidence(db, { ...passed, ...of, id: 'evd_3', service: 'worker' });
  await recordEvidence(db, { ...passed, id: 'evd_4', check: 'lint' });
  const found = await evidenceOfRelease(db, 'rel_1');
  expect(found.map(({ id, service }) => [id, service])).toEqual([
    ['evd_2', 'web'],
    ['evd_3', 'worker'],
  ]);
});

test('a digest shows all that was asked of it, newest first', async () => {
  const { db } = await shop();
  await recordEvidence(db, passed);
  await recordEvidence(db, failed);
  await recordEvidence(db, { ...passed, id: 'evd_3', digests: { web: sha256('other') } });
  const found = await evidenceOfDigest(db, 'prj_1', 'web', sha256('web'));
  expect(found.map(({ id }) => id)).toEqual(['evd_2', 'evd_1']);
});

/** A project with one release, for the references of evidence. */
async function shop(): Promise<Store> {
  const store = await testStore();
  await store.db.insertInto('project').values({ id: 'prj_1', name: 'shop' }).execute();
  await store.pool.query(
    `insert into repository (id, project_id, url, default_branch) values ('rep_1', 'prj_1', 'file:///shop', 'main')`,
  );
  await store.pool.query(
    `insert into release (id, project_id, repository_id, commit_sha, fingerprint, state, created_by)
     values ('rel_1', 'prj_1', 'rep_1', '4f2a91c', 'f', 'ready', 'towpath')`,
  );
  return store;
}
