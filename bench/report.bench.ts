import { parseAutocannon } from '../src/check/report/autocannon.ts';
import { parseCobertura } from '../src/check/report/cobertura.ts';
import { parseJunit } from '../src/check/report/junit.ts';
import { parseLcov } from '../src/check/report/lcov.ts';
import { parsePlaywright } from '../src/check/report/playwright.ts';
import { parseSarif } from '../src/check/report/sarif.ts';
import { type Figure, median } from './figure.ts';

const SIZE = 10 * 1024 * 1024;
const ROUNDS = 5;

/** Reports of 10 MB, made of what real ones are made of: how long each takes to be read, and how much memory. */
export async function run(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [name, text, read] of REPORTS) {
    const report = text();
    const times: number[] = [];
    let most = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const before = process.memoryUsage().rss;
      const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss - before)), 5);
      const start = performance.now();
      const found = await read(report);
      times.push(performance.now() - start);
      clearInterval(watch);
      most = Math.max(most, process.memoryUsage().rss - before);
      if ('wrong' in found) throw new Error(`${name}: ${String(found.wrong)}`);
    }
    figures.push(
      { name: `report.${name}.10mb.p50`, value: median(times), unit: 'ms', goal: { op: '<=', value: 1000 } },
      { name: `report.${name}.10mb.memory`, value: most / 1024 / 1024, unit: 'MB', goal: { op: '<=', value: 256 } },
    );
  }
  return figures;
}

const REPORTS: readonly (readonly [string, () => string, (text: string) => Promise<object>])[] = [
  ['junit', junit, parseJunit],
  ['sarif', sarif, parseSarif],
  ['lcov', lcov, parseLcov],
  ['cobertura', cobertura, parseCobertura],
  ['playwright', playwright, parsePlaywright],
  ['autocannon', autocannon, parseAutocannon],
];

function repeated(piece: (i: number) => string, between = ''): string {
  const pieces: string[] = [];
  for (let size = 0, i = 0; size < SIZE; i++) {
    const made = piece(i);
    pieces.push(made);
    size += made.length + between.length;
  }
  return pieces.join(between);
}

function junit(): string {
  const cases = repeated((i) =>
    i % 10 === 0
      ? `<testcase name="test ${i}" classname="basket" time="0.001"><failure message="one is &lt;not&gt; two" type="AssertionError">at basket.test.js:${i}\n</failure></testcase>`
      : `<testcase name="test ${i}" classname="basket" time="0.001"/>`,
  );
  return `<testsuites><testsuite name="basket">${cases}</testsuite></testsuites>`;
}

function sarif(): string {
  const results = repeated(
    (i) =>
      `{"ruleId":"no-eval","ruleIndex":0,"level":"${i % 3 === 0 ? 'error' : 'warning'}","message":{"text":"eval can be harmful."},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/file-${i}.js"},"region":{"startLine":${i + 1}}}}]}`,
    ',',
  );
  return `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"ESLint","rules":[{"id":"no-eval"}]}},"results":[${results}]}]}`;
}

function lcov(): string {
  return repeated((i) => `SF:src/file-${i}.js\n${lines(i)}end_of_record\n`);
}

function lines(i: number): string {
  return Array.from({ length: 100 }, (_, line) => `DA:${line + 1},${(i + line) % 3}\n`).join('');
}

function cobertura(): string {
  const classes = repeated((i) => {
    const all = Array.from({ length: 100 }, (_, line) => `<line number="${line + 1}" hits="${(i + line) % 3}"/>`);
    return `<class name="c${i}" filename="src/file-${i}.js"><methods/><lines>${all.join('')}</lines></class>`;
  });
  return `<coverage><packages><package><classes>${classes}</classes></package></packages></coverage>`;
}

function playwright(): string {
  let count = 0;
  const specs = repeated((i) => {
    count++;
    return `{"title":"test ${i}","ok":true,"tests":[{"projectName":"chromium","status":"expected","results":[{"status":"passed","duration":3,"errors":[],"stdout":[],"retry":0}]}]}`;
  }, ',');
  return `{"suites":[{"title":"a.spec.js","specs":[${specs}]}],"errors":[],"stats":{"expected":${count},"unexpected":0,"flaky":0,"skipped":0}}`;
}

function autocannon(): string {
  const samples = repeated((i) => `${i}`, ',');
  return `{"errors":0,"non2xx":0,"latency":{"mean":1,"p50":1,"p75":1,"p90":1,"p97_5":1,"p99":1,"max":1},"requests":{"average":1,"total":1},"samples":[${samples}]}`;
}
