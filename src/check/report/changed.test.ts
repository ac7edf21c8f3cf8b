import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { ChangedLines, LineRange } from '../../git/changed-lines.ts';
import { cases } from '../../lib/testing/cases.ts';
import { changedCoverage } from './changed.ts';
import { parseCobertura } from './cobertura.ts';
import { parseLcov } from './lcov.ts';
import type { Coverage } from './report.ts';

const service = { files: ['src/money.js', 'src/money.cjs', 'money.py', 'src/new.js', 'README.md'], workdir: '/app' };
const lines = (files: Record<string, LineRange[]>): ChangedLines => new Map(Object.entries(files));
const all = (file: string): ChangedLines => lines({ [file]: [[1, 999]] });

test.each([
  ['node-test.lcov', 'src/money.js', [10, 14]],
  ['vitest.lcov', 'src/money.js', [3, 5]],
  ['jest.lcov', 'src/money.cjs', [6, 8]],
  ['c8.lcov', 'src/money.js', [10, 14]],
  ['pytest.lcov', 'money.py', [7, 9]],
  ['vitest.cobertura.xml', 'src/money.js', [3, 5]],
  ['c8.cobertura.xml', 'src/money.js', [10, 14]],
  ['pytest.cobertura.xml', 'money.py', [7, 9]],
])('where all lines changed, what ran of them is what ran of the file: %s', async (name, file, [covered, total]) => {
  const found = changedCoverage(await fixture(name), all(file), service);
  expect(found).toMatchObject({ covered, total, uncovered: [expect.stringMatching(new RegExp(`^${file}:\\d`))] });
});

const report = (files: Record<string, Record<number, number>>): Coverage =>
  new Map(
    Object.entries(files).map(([file, hits]) => [file, new Map(Object.entries(hits).map(([n, times]) => [+n, times]))]),
  );

test('only lines that changed and can run count, and those that did not run are named', () => {
  const measured = report({ 'src/money.js': { 1: 1, 3: 0, 4: 0, 6: 0, 7: 2, 9: 0, 20: 0 } });
  const changed = lines({ 'src/money.js': [[2, 7], [9, 12]], 'README.md': [[1, 1]] }); // prettier-ignore
  expect(changedCoverage(measured, changed, service)).toEqual({
    covered: 1,
    total: 5,
    uncovered: ['src/money.js:3-6,9'],
    unreported: [],
  });
});

test('a changed file that the report does not name is told, when it is one of its kind', () => {
  const measured = report({ 'src/money.js': { 1: 1 } });
  const changed = lines({ 'src/new.js': [[1, 9]], 'README.md': [[1, 1]], 'money.py': [[1, 1]] });
  expect(changedCoverage(measured, changed, service)).toEqual({
    covered: 0,
    total: 0,
    uncovered: [],
    unreported: ['src/new.js'],
  });
});

test.each([
  ['src/money.js', 'src/money.js'],
  ['./src/money.js', 'src/money.js'],
  ['src\\money.js', 'src/money.js'],
  ['/app/src/money.js', 'src/money.js'],
  ['/tmp/elsewhere/app/src/money.js', 'src/money.js'],
  ['services/web/src/money.js', 'src/money.js'],
  ['example.com/shop/src/money.js', 'src/money.js'],
  ['new.js', 'src/new.js'],
])('a report may call a file of the service %s', (name, file) => {
  expect(changedCoverage(report({ [name]: { 1: 0 } }), all(file), service)?.uncovered).toEqual([`${file}:1`]);
});

test.each([
  '/app/node_modules/x/src/money.js',
  'node_modules/src/money.js',
  '/app/other/src/money.js',
  '/new.js',
  'a.js',
])('it may not call one so: %s', (name) => {
  expect(changedCoverage(report({ [name]: { 1: 0 } }), all('src/money.js'), service)).toBeNull();
});

test('what could be one of several files is none of them', () => {
  const twins = { files: ['a/index.js', 'b/index.js'], workdir: '/app' };
  expect(changedCoverage(report({ 'index.js': { 1: 0 } }), all('a/index.js'), twins)).toBeNull();
});

test('what is counted is what stands in both, line by line', () => {
  const hits = fc.dictionary(fc.integer({ min: 1, max: 40 }).map(String), fc.nat(2));
  const ranges = fc
    .uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 8 })
    .map((edges) => edges.toSorted((one, other) => one - other))
    .map((edges) => edges.flatMap((edge, i): LineRange[] => (i % 2 === 0 ? [[edge, edges[i + 1] ?? edge]] : [])));
  fc.assert(
    fc.property(hits, ranges, (measured, changed) => {
      const counted = Object.entries(measured).filter(([line]) =>
        changed.some(([first, last]) => +line >= first && +line <= last),
      );
      expect(
        changedCoverage(report({ 'src/money.js': measured }), lines({ 'src/money.js': changed }), service),
      ).toMatchObject({
        total: counted.length,
        covered: counted.filter(([, times]) => times > 0).length,
      });
    }),
    cases(300),
  );
});

async function fixture(name: string): Promise<Coverage> {
  const text = readFileSync(new URL(`../../../fixtures/coverage-reports/${name}`, import.meta.url), 'utf8');
  const read = await (name.endsWith('.xml') ? parseCobertura(text) : parseLcov(text));
  if ('wrong' in read) throw new Error(read.wrong);
  return read;
}
