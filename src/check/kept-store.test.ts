import { expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { testStore } from '../store/testing.ts';
import { recordEvidence } from './evidence-store.ts';
import { forgetContent, keptOf, readContent, storeContent } from './kept-store.ts';

const BIG = Buffer.alloc(2_500_000, 'ab');
const LATER = new Date(Date.now() + 86_400_000);

test('the same bytes are kept once, read in slices, and gone when no evidence has them', async () => {
  const { db } = await testStore();
  await db.insertInto('project').values({ id: 'p', name: 'shop' }).execute();
  const [big, small, empty] = [
    await storeContent(db, BIG),
    await storeContent(db, Buffer.from('x')),
    await storeContent(db, Buffer.alloc(0)),
  ];
  expect(await storeContent(db, Buffer.from(BIG))).toBe(big);
  const slices = await slicesOf(readContent(db, big));
  expect(slices.map(({ length }) => length)).toEqual([1_048_576, 1_048_576, 402_848]);
  expect(sha256(Buffer.concat(slices))).toBe(big);
  expect(await slicesOf(readContent(db, empty))).toEqual([]);

  const kept = {
    files: ['report/a', 'report/b'].map((path) => ({ path, digest: big, size: BIG.length })),
    leftOut: 0,
  };
  const evidence = {
    id: 'evi_1',
    projectId: 'p',
    question: 'q',
    check: 'e2e',
    service: 'web',
    releaseId: null,
    environmentId: null,
    digests: {},
    answer: { verdict: 'failed', summary: 'no', kept } as const,
    logId: null,
  };
  await recordEvidence(db, evidence);
  expect(await forgetContent(db, new Date(0))).toBe(0);
  expect(await forgetContent(db, LATER)).toBe(2);
  expect(await keptOf(db, 'evi_1')).toEqual(new Set([big]));
  expect(await slicesOf(readContent(db, small))).toEqual([]);

  await db.deleteFrom('kept_file').execute();
  expect(await forgetContent(db, LATER)).toBe(1);
  await recordEvidence(db, evidence); // said again when its files are gone: nothing is missed
  expect(await keptOf(db, 'evi_1')).toEqual(new Set());
});

async function slicesOf(content: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const slices: Buffer[] = [];
  for await (const slice of content) slices.push(slice);
  return slices;
}
