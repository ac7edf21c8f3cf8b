import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { parseJunit } from './junit.ts';
import { parsePlaywright } from './playwright.ts';

const fixture = (name: string): string => readFileSync(new URL(`../../../fixtures/${name}`, import.meta.url), 'utf8');
const RESULTS = fixture('playwright/results.json');

test('tests are counted as its JUnit report has them, and what passed at a second try is flaky', async () => {
  const found = await parsePlaywright(RESULTS);
  const { failures, ...counts } = await parseJunit(fixture('junit/playwright.xml')).then((read) => {
    if ('wrong' in read) throw new Error(read.wrong);
    return read;
  });
  expect(failures).toHaveLength(1);
  expect(found).toEqual({
    ...counts,
    flaky: 1,
    failures: [
      {
        name: 'shop.spec.js > basket > one is <not> two & never',
        message: expect.stringMatching(/^Error: expect\(received\)\.toBe\(expected\) .*\n\nExpected: 2\nReceived: 1/),
      },
    ],
  });
});

test('what went wrong outside of tests is a failure', async () => {
  const report = JSON.parse(RESULTS) as Record<string, unknown>;
  const errors = [{ message: 'SyntaxError: Unexpected token' }];
  expect(await parsePlaywright(JSON.stringify({ ...report, errors }))).toMatchObject({
    failed: 2,
    failures: [{}, { name: 'outside of tests', message: 'SyntaxError: Unexpected token' }],
  });
});

const deep = (depth: number): string =>
  `{"suites":[${'{"title":"a","suites":['.repeat(depth)}${']}'.repeat(depth)}],"stats":{"expected":0,"unexpected":0,"flaky":0,"skipped":0}}`;

test.each([
  ['', 'is not JSON'],
  ['{}', 'is no report of Playwright Test'],
  [RESULTS.slice(0, 5000), 'is not JSON'],
  [RESULTS.replace('"unexpected": 1', '"unexpected": 0'), 'has other tests than its own totals say'],
  [deep(80), 'is nested too deeply'],
  [deep(100_000), 'is '],
  ['{"suites":[1],"stats":{"expected":0,"unexpected":0,"flaky":0,"skipped":0}}', 'is no report of Playwright Test'],
])('what is no whole report is refused: %.40j', async (text, wrong) => {
  expect(await parsePlaywright(text)).toEqual({ wrong: expect.stringContaining(wrong) });
});

test('no text makes the reader fail', async () => {
  const torn = fc
    .tuple(fc.nat(RESULTS.length), fc.nat(30), fc.string({ maxLength: 5 }))
    .map(([at, length, put]) => RESULTS.slice(0, at) + put + RESULTS.slice(at + length));
  await fc.assert(
    fc.asyncProperty(fc.oneof(torn, fc.json()), async (text) => {
      const found = await parsePlaywright(text);
      expect('wrong' in found || found.passed >= 0).toBe(true);
    }),
    cases(200),
  );
});
