import { expect, test } from 'vitest';

import { testStore } from './testing.ts';
import { tablesSource } from './testing/tables-source.ts';

test('the types of the tables are those of a migrated database', async () => {
  const store = await testStore();
  await expect(await tablesSource(store.url)).toMatchFileSnapshot('tables.ts');
});
