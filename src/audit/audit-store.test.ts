import { expect, test } from 'vitest';

import { testStore } from '../store/testing.ts';
import { listAudit, recordAudit } from './audit-store.ts';

test('entries are read newest first, page by page, each once', async () => {
  const store = await testStore();
  for (let n = 0; n < 5; n++)
    await recordAudit(
      store.db,
      { actor: 'ada', action: 'release.yank', subject: `rel_${n % 2}`, detail: { n } },
      `aud_${n}`,
    );
  const first = await listAudit(store.db, { limit: 3 });
  expect(first.entries.map(({ detail }) => detail['n'])).toEqual([4, 3, 2]);
  const second = await listAudit(store.db, { limit: 3, cursor: first.next ?? '' });
  expect(second.entries.map(({ detail }) => detail['n'])).toEqual([1, 0]);
  expect(second.next).toBeNull();
  const about = await listAudit(store.db, { subjects: ['rel_1'], limit: 3 });
  expect(about).toMatchObject({ entries: [{ detail: { n: 3 } }, { detail: { n: 1 } }], next: null });
});

test('an entry can neither be changed nor deleted', async () => {
  const store = await testStore();
  await recordAudit(store.db, { actor: 'ada', action: 'release.yank', subject: 'rel_1' });
  await expect(store.db.updateTable('audit').set({ actor: 'bob' }).execute()).rejects.toThrow('append-only');
  await expect(store.db.deleteFrom('audit').execute()).rejects.toThrow('append-only');
  expect((await listAudit(store.db, { limit: 9 })).entries).toHaveLength(1);
});
