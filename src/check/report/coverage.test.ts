import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { parseCobertura } from './cobertura.ts';
import { parseLcov } from './lcov.ts';
import type { Coverage, Reading } from './report.ts';

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/coverage-reports/${name}`, import.meta.url), 'utf8');

test.each([
  ['node-test.lcov', { 'src/money.js': [10, 14], 'test/money.test.js': [4, 4] }],
  ['vitest.lcov', { 'src/money.js': [3, 5] }],
  ['jest.lcov', { 'src/money.cjs': [6, 8] }],
  ['c8.lcov', { 'src/money.js': [10, 14] }],
  ['pytest.lcov', { 'money.py': [7, 9] }],
  ['vitest.cobertura.xml', { 'src/money.js': [3, 5] }],
  ['jest.cobertura.xml', { 'src/money.cjs': [6, 8] }],
  ['c8.cobertura.xml', { 'src/money.js': [10, 14] }],
  ['pytest.cobertura.xml', { 'money.py': [7, 9] }],
])('the lines that ran are those of the totals in %s', async (name, lines) => {
  const read = name.endsWith('.xml') ? parseCobertura : parseLcov;
  expect(ranOf(await read(fixture(name)))).toEqual(lines);
});

test('a file that several tests ran has the sum of what they ran', async () => {
  const text =
    'TN:a\r\nSF:a.c\r\nDA:1,0\r\nDA:2,3,checksum==\r\nend_of_record\r\nTN:b\nSF:a.c\nDA:1,2\nDA:3,0\nend_of_record';
  expect([...(found(await parseLcov(text)).get('a.c') ?? [])]).toEqual([
    [1, 2],
    [2, 3],
    [3, 0],
  ]);
  const inner = (hits: number) =>
    `<class filename="a.cs"><methods><method><lines><line number="9" hits="1"/></lines></method></methods><lines><line number="1" hits="${hits}"/></lines></class>`;
  const xml = `<coverage><packages><package><classes>${inner(0)}${inner(2)}</classes></package></packages></coverage>`;
  expect([...(found(await parseCobertura(xml)).get('a.cs') ?? [])]).toEqual([[1, 2]]);
});

test.each([
  ['', 'names no file'],
  ['<coverage/>', 'is not LCOV'],
  ['DA:1,1', 'has a line that is no LCOV'],
  ['SF:a\nDA:1', 'has a line that is no LCOV'],
  ['SF:a\nDA:0,1', 'has a line that is no LCOV'],
  ['SF:a\nDA:1,-1', 'has a line that is no LCOV'],
  ['SF:a\nDA:1,1\n', 'ends in the middle'],
])('what is no LCOV is refused: %j', async (text, wrong) => {
  expect(await parseLcov(text)).toEqual({ wrong });
});

test.each([
  ['', 'is not XML'],
  ['<coverage>', 'is not XML'],
  ['<testsuite/>', 'is not Cobertura'],
  ['<coverage/>', 'names no file'],
  [
    '<coverage><class filename="a"><lines><line number="1"/></lines></class></coverage>',
    'has a line without its number, or that does not say how often it ran',
  ],
  ['<!DOCTYPE coverage [<!ENTITY a "aaaa">]><coverage>&a;</coverage>', 'has a DOCTYPE with declarations'],
  ['<coverage>&a;</coverage>', 'is not XML'],
])('what is no Cobertura is refused: %.60j', async (text, wrong) => {
  expect(await parseCobertura(text)).toEqual({ wrong });
});

const anyCoverage = fc.dictionary(
  fc.stringMatching(/^[\w./-]{1,12}$/),
  fc.dictionary(fc.integer({ min: 1, max: 999_999_999 }).map(String), fc.nat(), { minKeys: 1 }),
  { minKeys: 1, maxKeys: 5 },
);

test('both formats say the same of the same lines', async () => {
  await fc.assert(
    fc.asyncProperty(anyCoverage, async (coverage) => {
      const files = Object.entries(coverage).map(([file, lines]) => [file, Object.entries(lines)] as const);
      const lcov = files.map(
        ([file, lines]) => `SF:${file}\n${lines.map(([line, hits]) => `DA:${line},${hits}\n`).join('')}end_of_record\n`,
      );
      const xml = files.map(
        ([file, lines]) =>
          `<class filename="${file}"><lines>${lines.map(([line, hits]) => `<line number="${line}" hits="${hits}"/>`).join('')}</lines></class>`,
      );
      const [one, other] = [
        await parseLcov(lcov.join('')),
        await parseCobertura(`<coverage>${xml.join('')}</coverage>`),
      ];
      expect(plain(found(one))).toEqual(coverage);
      expect(plain(found(other))).toEqual(coverage);
    }),
    cases(200),
  );
});

test('no text makes a reader fail', async () => {
  const pieces = fc.constantFrom(
    ...'SF:a|\n|DA:1,1|end_of_record|<coverage>|</coverage>|<class filename="a">|</class>|<lines>|<line number="1" hits="1"/>|</lines>|&#0;|&lt;|<![CDATA[|]]>|<!--|\0'.split(
      '|',
    ),
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(pieces, { maxLength: 30 }).map((parts) => parts.join('')),
  );
  await fc.assert(
    fc.asyncProperty(text, async (text) => {
      for (const read of [parseLcov, parseCobertura]) {
        const report = await read(text);
        expect('wrong' in report || report.size > 0).toBe(true);
      }
    }),
    cases(500),
  );
});

function found(report: Reading<Coverage>): Coverage {
  if ('wrong' in report) throw new Error(report.wrong);
  return report;
}

/** File -> lines that ran, of those that can. */
function ranOf(report: Reading<Coverage>): Record<string, number[]> {
  const counts = (lines: ReadonlyMap<number, number>) => [
    [...lines.values()].filter((hits) => hits > 0).length,
    lines.size,
  ];
  return Object.fromEntries([...found(report)].map(([file, lines]) => [file, counts(lines)]));
}

function plain(coverage: Coverage): unknown {
  return Object.fromEntries([...coverage].map(([file, lines]) => [file, Object.fromEntries(lines)]));
}
