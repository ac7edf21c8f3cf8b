import { inspect } from 'node:util';

import { expect, test } from 'vitest';
import { z } from 'zod';

import { fixedClock } from '../../../../lib/clock.ts';
import { type Problem, problemOf } from '../../../../lib/error.ts';
import { PATIENCE } from '../../../../registry/client/retry.ts';
import type { Scanned } from '../scanner.ts';
import { type EcrAnswer, ecrFindings, ecrFixture, withEcr } from '../testing/ecr-server.ts';
import { ecrApi } from './api.ts';
import { ecrScanner } from './ecr.ts';

const NOW = Date.UTC(2026, 10, 30);
const clock = fixedClock(NOW);
const never = new AbortController().signal;
const QUESTION = {
  repository: 'shop/web',
  manifest: `sha256:${'0'.repeat(64)}`,
  installed: [],
  ecosystems: undefined,
  clock,
} as const;

test('all pages are read, in one answer of one scan', async () => {
  const whole = await ecrFixture('enhanced');
  const all = z.array(z.unknown()).parse(whole.imageScanFindings['enhancedFindings']);
  const pages = all.map((one, at) => ({
    ...whole,
    imageScanFindings: { ...whole.imageScanFindings, enhancedFindings: [one] },
    ...(at < all.length - 1 ? { nextToken: `page ${at + 2}` } : {}),
  }));
  const { scanned, asked } = await scanOf(pages);
  expect(asked.map((one) => one['nextToken'])).toEqual([undefined, 'page 2', 'page 3', 'page 4', 'page 5']);
  expect(scanned).toEqual((await scanOf([whole])).scanned);
  expect(scanned).toMatchObject({ vulnerabilities: { length: 4 } });
  const other = { ...whole, imageScanFindings: { ...ecrFindings([], NOW), imageScanCompletedAt: 1795935600 } };
  expect((await scanOf([pages[0] ?? {}, other])).problem).toMatchObject({ code: 'check.not-yet' });
  expect((await scanOf([{ ...whole, nextToken: 'the same' }])).problem).toMatchObject({
    code: 'check.server-unavailable',
    what: expect.stringContaining('its answer has no end') as string,
  });
});

test('without a scan there is no data, once a minute or two have passed for ECR to know of the image', async () => {
  const none = [400, { __type: 'com.amazonaws.ecr#ScanNotFoundException', message: 'x' }] as const;
  const { scanned, waits } = await scanOf([none]);
  expect(scanned).toEqual({ kind: 'no-data', why: expect.stringContaining('has no scan of the image') as string });
  expect(waits).toBe(2);
  expect((await scanOf([none, none, await ecrFixture('basic')])).scanned).toMatchObject({ kind: 'scanned' });
  for (const missing of ['ImageNotFoundException', 'RepositoryNotFoundException'])
    expect((await scanOf([[400, { __type: missing }]])).scanned).toMatchObject({ kind: 'no-data' });
  expect(await ecrScanner(null, QUESTION).scan([], never)).toEqual({
    kind: 'no-data',
    why: 'the images of this installation are not in Amazon ECR',
  });
});

test.each<[number, object | string, string, number]>([
  [400, { __type: 'AccessDeniedException', Message: 'canary of an arn' }, 'check.server-refused', 1],
  [403, { __type: 'UnrecognizedClientException' }, 'check.server-refused', 1],
  [400, { __type: 'ExpiredTokenException' }, 'check.server-refused', 1],
  [400, { __type: 'ValidationException' }, 'check.server-unavailable', 1],
  [400, { __type: 'ThrottlingException' }, 'check.server-unavailable', 3],
  [500, { __type: 'ServerException' }, 'check.server-unavailable', 3],
  [503, 'no JSON', 'check.server-unavailable', 3],
  [200, 'no JSON', 'check.server-unavailable', 1],
  [200, { imageScanFindings: { findings: [] } }, 'check.server-unavailable', 1],
  [200, { imageScanStatus: { status: 'COMPLETE' }, imageScanFindings: { findings: 3 } }, 'check.server-unavailable', 1],
])('%i %j is %s after %i tries', async (status, body, code, tries) => {
  const { asked, problem } = await scanOf([[status, body]]);
  expect(problem).toMatchObject({ code });
  expect(asked).toHaveLength(tries);
  expect(inspect(problem)).not.toContain('canary');
});

interface Outcome {
  readonly scanned: Scanned | null;
  /** Why there is no answer. */
  readonly problem: Problem | null;
  readonly asked: readonly Readonly<Record<string, unknown>>[];
  /** How often it waited for a scan to begin. */
  readonly waits: number;
}

async function scanOf(answers: readonly EcrAnswer[]): Promise<Outcome> {
  let waits = 0;
  const patience = { looks: 3, everyMs: 1, wait: async () => void (waits += 1) };
  const retry = { ...PATIENCE, attempts: 3, wait: async () => {} };
  const { value, asked } = await withEcr(answers, (access) =>
    ecrScanner(ecrApi(access, clock, retry), { ...QUESTION, patience })
      .scan([], never)
      .then(
        (scanned) => ({ scanned, problem: null }),
        (error: unknown) => ({ scanned: null, problem: problemOf(error) }),
      ),
  );
  return { ...value, asked, waits };
}
