import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { parseJunit } from './junit.ts';
import type { TestCounts } from './report.ts';

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/junit/${name}.xml`, import.meta.url), 'utf8');

test.each([
  ['node-test', { passed: 2, failed: 1, skipped: 2 }],
  ['vitest', { passed: 1, failed: 1, skipped: 1 }],
  ['pytest', { passed: 1, failed: 2, skipped: 1 }],
  ['mocha', { passed: 1, failed: 1, skipped: 0 }],
  ['jest', { passed: 1, failed: 1, skipped: 1 }],
  ['surefire', { passed: 2, failed: 2, skipped: 1, flaky: 1 }],
  ['gotestsum', { passed: 2, failed: 4, skipped: 1 }],
  ['playwright', { passed: 3, failed: 1, skipped: 1 }],
])('the report of %s is counted test by test', async (tool, counts) => {
  expect(await parseJunit(fixture(tool))).toMatchObject(counts);
});

test('a failure keeps its name and message, entities decoded', async () => {
  expect(await parseJunit(fixture('node-test'))).toMatchObject({
    failures: [{ name: expect.stringContaining('basket > refuses'), message: 'one is <not> two & never' }],
  });
  expect(await parseJunit(fixture('vitest'))).toMatchObject({
    failures: [
      {
        name: 'a.test.js > basket > refuses "a < b & c"',
        message: 'one is <not> two: expected 1 to be 2 // Object.is equality',
      },
    ],
  });
  expect(await parseJunit(fixture('jest'))).toMatchObject({
    failures: [{ message: expect.stringContaining('assert.equal(received, expected)') }],
  });
});

test('a message that says nothing is left for what the test said', async () => {
  const { failures } = (await parseJunit(fixture('gotestsum'))) as TestCounts;
  expect(failures.map(({ name }) => name)).toContain('example.com/money > TestGroup/inner_fails');
  expect(failures[0]?.message).toContain('one is <not> two & never');
});

test('a long message is never cut in the middle of a character', async () => {
  const message = `${'x'.repeat(496)}\u{1F600}${'y'.repeat(10)}`;
  const report = await parseJunit(
    `<testsuite><testcase name="a"><failure message="${message}"/></testcase></testsuite>`,
  );
  expect(report).toMatchObject({ failures: [{ message: `${'x'.repeat(496)}...` }] });
});

test('a suite without cases, and one that failed by itself', async () => {
  expect(await parseJunit('<testsuites/>')).toEqual({ passed: 0, failed: 0, skipped: 0, failures: [] });
  expect(await parseJunit('<testsuite name="a"><error message="no database"/></testsuite>')).toEqual({
    passed: 0,
    failed: 1,
    skipped: 0,
    failures: [{ name: 'a', message: 'no database' }],
  });
});

test.each([
  ['', 'not XML'],
  ['<testsuite', 'not XML'],
  ['<html/>', 'no test suite'],
  ['<!DOCTYPE x [<!ENTITY a "b">]><testsuite/>', 'DOCTYPE'],
  [`${'<testsuite>'.repeat(10_000)}${'</testsuite>'.repeat(10_000)}`, 'not XML'],
])('what is no report is refused: %.40s', async (text, wrong) => {
  expect(await parseJunit(text)).toMatchObject({ wrong: expect.stringContaining(wrong) });
});

test('no text makes the reader fail', async () => {
  const pieces =
    '<testsuite> </testsuite> <testcase_name="a"> </testcase> <failure/> <skipped/> <error_message=" " > < & &#x0; &lt; <![CDATA[ ' +
    ']]> <!-- --> <?xml ?> __proto__ <constructor/> x';
  const piece = fc.constantFrom(
    ...pieces.split(' ').map((piece) => piece.replace('_name', ' name').replace('_m', ' m')),
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join('')),
  );
  await fc.assert(
    fc.asyncProperty(text, async (text) => {
      const found = await parseJunit(text);
      expect('wrong' in found || found.passed + found.failed + found.skipped >= 0).toBe(true);
    }),
    cases(1000),
  );
});
