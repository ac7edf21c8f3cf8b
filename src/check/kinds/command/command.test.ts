import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';

import type { SourceTree } from '../../../git/tree.ts';
import { sha256, sha256Hex } from '../../../lib/digest.ts';
import type { CheckAnswer, CheckRequest, CheckTools } from '../../kind.ts';
import type { Measures } from '../../report/measures.ts';
import { copyingRunner } from '../../testing/copying-runner.ts';
import { memorySource } from '../../testing/source.ts';
import { answerOf, command } from './command.ts';
import { reportFields, reportsOf } from './reports.ts';

const TEST = `
import { test } from 'node:test';
import assert from 'node:assert';
import { total } from '../basket.js';
test('adds', () => assert.equal(total([1, 2]), 3));
`;
const JUNIT = 'node --test --test-reporter=junit --test-reporter-destination=reports/junit.xml';

let home = '';
let lines: string[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'command-'));
  lines = [];
  await mkdir(join(home, 'rootfs/app'), { recursive: true });
  await writeFile(join(home, 'rootfs/app/package.json'), '{"type":"module"}');
  await writeFile(
    join(home, 'rootfs/app/basket.js'),
    'export const total = (all) => all.reduce((a, b) => a + b, 0);\n',
  );
});

afterEach(() => rm(home, { recursive: true, force: true }));

test('tests are mounted over the image, run in it, and their report is read', async () => {
  const answer = await ask({ run: JUNIT, junit: 'reports/junit.xml' }, { 'test/basket.test.js': TEST });
  expect(answer).toEqual({
    verdict: 'passed',
    summary: '1 passed, 0 failed, 0 skipped',
    tests: { passed: 1, failed: 0, skipped: 0, failures: [] },
    ran: { runner: 'host', isolates: false },
  });
});

test('the image is the same before and after, and nothing is left behind', async () => {
  const before = await hashOfFolder(join(home, 'rootfs'));
  await ask({ run: JUNIT, junit: 'reports/junit.xml' }, { 'test/basket.test.js': TEST });
  expect(await hashOfFolder(join(home, 'rootfs'))).toBe(before);
  expect(await readdir(join(home, 'work'))).toEqual([]);
});

test('a failing test is told with its name', async () => {
  const answer = await ask({ run: JUNIT, junit: 'reports/junit.xml' }, { 'test/a.test.js': TEST.replace('3)', '4)') });
  expect(answer).toMatchObject({ verdict: 'failed', tests: { passed: 0, failed: 1, failures: [{ name: 'adds' }] } });
  expect(answer.summary).toMatch(/^it ended with exit code 1: 0 passed, 1 failed \(.+\), 0 skipped$/);
});

test('what it prints is streamed', async () => {
  await ask({ run: ['node', '-e', 'console.log("one"); console.error("two")'] }, {});
  expect(lines.toSorted()).toEqual(['one', 'two']);
});

test('it learns where the services answer, and its own variables', async () => {
  const script = 'console.log(process.env.TOWPATH_URL, process.env.TOWPATH_URL_NODE_API, process.env.MODE)';
  await ask(
    { run: ['node', '-e', script], env: { MODE: 'x' } },
    {},
    { urls: { web: 'http://w', 'node-api': 'http://a' } },
  );
  expect(lines).toEqual(['http://w http://a x']);
});

test('a program that is not done in time has no verdict', async () => {
  const answer = await ask({ run: ['node', '-e', 'setInterval(() => {}, 1000)'] }, {}, { timeoutMs: 300 });
  expect(answer).toMatchObject({ verdict: 'error', summary: 'it was not done in time' });
});

test('a cancel ends the program, and is no answer', async () => {
  const cancel = new AbortController();
  const asked = ask(
    { run: ['node', '-e', 'console.log("up"); setInterval(() => {}, 1000)'] },
    {},
    {
      signal: cancel.signal,
      log: () => cancel.abort(new Error('cancelled')),
    },
  );
  await expect(asked).rejects.toThrow('cancelled');
  expect(await readdir(join(home, 'work'))).toEqual([]);
});

test('a report that is not there is never green', async () => {
  expect(await ask({ run: 'node -e 0', junit: 'reports/junit.xml' }, {})).toMatchObject({
    verdict: 'error',
    summary: expect.stringContaining('is not there'),
  });
});

test('a report that is a link to elsewhere is not read', async () => {
  await writeFile(join(home, 'secret.xml'), '<testsuite><testcase name="a"/></testsuite>');
  for (const plant of [
    `fs.symlinkSync(${JSON.stringify(join(home, 'secret.xml'))}, 'reports/junit.xml')`,
    `fs.mkdirSync('reports/junit.xml')`,
  ])
    expect(await ask({ run: ['node', '-e', plant], junit: 'reports/junit.xml' }, {})).toMatchObject({
      verdict: 'error',
    });
});

test('a report that is far too large is not read, and says nothing', async () => {
  const plant = `fs.writeFileSync('reports/junit.xml', '<testsuite>'); fs.truncateSync('reports/junit.xml', ${40 * 1024 * 1024})`;
  expect(await ask({ run: ['node', '-e', plant], junit: 'reports/junit.xml' }, {})).toMatchObject({
    verdict: 'error',
    summary: 'it ended with exit code 0, but its JUnit report has more than 32 MB',
  });
});

test('something to mount that is not there is told', async () => {
  expect(await ask({ run: 'node -e 0', mount: 'checks' }, { 'test/a.js': '' })).toMatchObject({
    verdict: 'error',
    summary: 'the service has no "checks" to mount',
  });
});

test('a report does not hide files of the service', async () => {
  const files = { 'src/a.js': '' };
  expect(await ask({ run: 'node -e 0', junit: 'src/junit.xml' }, files)).toMatchObject({
    verdict: 'error',
    summary: `what it writes would hide the service's own folder "src"`,
  });
});

test('a report may lie among the tests', async () => {
  const run = 'node --test --test-reporter=junit --test-reporter-destination=test/junit.xml';
  expect(await ask({ run, junit: 'test/junit.xml' }, { 'test/a.test.js': TEST })).toMatchObject({ verdict: 'passed' });
});

test('only what is mounted belongs to the question', () => {
  const source = memorySource({ 'a.js': 'a', 'test/b.js': 'b', 'tests.js': 'c', 'spec/d.js': 'd' });
  expect(command.inputs({}, source).map(({ path }) => path)).toEqual(['spec/d.js', 'test/b.js']);
  expect(command.inputs({ mount: ['a.js'] }, source).map(({ path }) => path)).toEqual(['a.js']);
});

test.each([
  ['a link that leaves the folder', { 'test/x': { mode: '120000' as const, text: '../../../etc/passwd' } }],
  ['a link to the root', { 'test/x': { mode: '120000' as const, text: '/etc/passwd' } }],
  ['a submodule', { 'test/x': { mode: '160000' as const, text: '' } }],
  ['a name that climbs', { 'test/../../x': 'x' }],
  ['a doubled name', { 'test/a': { mode: '120000' as const, text: 'b' }, 'test/a/c': 'x' }],
])('hostile tests are refused or kept inside: %s', async (_, files) => {
  const before = await readdir(home);
  await expect(ask({ run: 'node -e 0' }, files)).rejects.toThrow();
  expect(await readdir(home)).toEqual([...before, 'work'].toSorted());
  expect(await readdir(join(home, 'work'))).toEqual([]);
});

test('a link inside the tests stays one', async () => {
  await symlink('app', join(home, 'rootfs/link'));
  const files = { 'test/real.js': 'console.log("real")', 'test/link.js': { mode: '120000' as const, text: 'real.js' } };
  expect(await ask({ run: 'node test/link.js' }, files)).toMatchObject({ verdict: 'passed' });
  expect(lines).toEqual(['real']);
});

test('exit code and report must agree before it is green', async () => {
  const [report] = reportsOf(z.strictObject(reportFields).parse({ junit: 'reports/junit.xml' }));
  const said = async (text: string) =>
    report === undefined
      ? []
      : [await report.say(text, { files: [], workdir: '/', changed: undefined, baseline: null, load: '' })];
  const good = await said('<testsuite><testcase name="a"/></testsuite>');
  const bad = await said('<testsuite><testcase name="a"><failure message="no"/></testcase></testsuite>');
  expect(answerOf({ kind: 'exited', code: 0 }, []).verdict).toBe('passed');
  expect(answerOf({ kind: 'exited', code: 0 }, good).verdict).toBe('passed');
  expect(answerOf({ kind: 'exited', code: 1 }, good).verdict).toBe('failed');
  expect(answerOf({ kind: 'exited', code: 0 }, bad)).toMatchObject({ verdict: 'failed', tests: { failed: 1 } });
  expect(answerOf({ kind: 'exited', code: 0 }, await said('<testsuite/>')).verdict).toBe('error');
  expect(answerOf({ kind: 'exited', code: 0 }, await said('x')).verdict).toBe('error');
  expect(answerOf({ kind: 'killed', signal: 'SIGKILL' }, good)).toMatchObject({
    verdict: 'error',
    tests: { passed: 1 },
  });
});

test('who ran out of memory gave no answer, and a limit that nothing holds is told', () => {
  expect(answerOf({ kind: 'out-of-memory' }, [])).toEqual({
    verdict: 'error',
    summary: 'it was ended: out of memory',
  });
  expect(answerOf({ kind: 'exited', code: 0, notHeld: ['memoryMb', 'cpus'] }, [])).toEqual({
    verdict: 'passed',
    summary: 'it ended with exit code 0 (this machine cannot limit its memory and cpus)',
  });
});

test('every report that was asked for is read, and the worst of them is the answer', async () => {
  const write = (files: Record<string, string>) => ({
    run: [
      'node',
      '-e',
      `for (const [file, text] of ${JSON.stringify(Object.entries(files))}) fs.writeFileSync(file, text)`,
    ],
    junit: 'reports/junit.xml',
    coverage: { lcov: 'coverage/lcov.info', min: 60 },
    sarif: { file: 'reports/lint.sarif' },
  });
  const junit = '<testsuite><testcase name="a"/></testsuite>';
  const good = {
    'reports/junit.xml': junit,
    'coverage/lcov.info': fixture('coverage-reports/vitest.lcov'),
    'reports/lint.sarif': '{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[]}]}',
  };
  expect(await ask(write(good), {})).toMatchObject({
    verdict: 'passed',
    summary: '1 passed, 0 failed, 0 skipped; 60 % of 5 lines ran; 0 errors, 0 warnings, 0 notes',
    coverage: { covered: 3, total: 5 },
    findings: { counts: { error: 0, warning: 0, note: 0 } },
  });
  const poor = { ...good, 'coverage/lcov.info': `${good['coverage/lcov.info']}SF:b.js\nDA:1,0\nend_of_record\n` };
  expect(await ask(write(poor), {})).toMatchObject({
    verdict: 'failed',
    summary: 'it ended with exit code 0, but 50 % of 6 lines ran, 60 % are wanted',
    tests: { passed: 1 },
  });
  const unsafe = { ...poor, 'reports/lint.sarif': fixture('sarif/eslint.sarif') };
  expect(await ask(write(unsafe), {})).toMatchObject({
    verdict: 'failed',
    summary: expect.stringMatching(/60 % are wanted; 1 error, 0 warnings, 0 notes \(no-eval in \S+money\.js:13\)$/),
  });
  const { 'coverage/lcov.info': _, ...without } = good;
  expect(await ask(write(without), {})).toMatchObject({
    verdict: 'error',
    summary: 'it ended with exit code 0, but its LCOV file is not there',
  });
});

test('of the lines that changed a share of their own must have run, tests left out', async () => {
  const lcov = 'SF:/app/src/a.js\nDA:1,1\nDA:2,1\nDA:3,0\nend_of_record\nSF:test/a.test.js\nDA:1,1\nend_of_record\n';
  const run = ['node', '-e', `fs.writeFileSync('coverage/lcov.info', ${JSON.stringify(lcov)})`];
  const files = { 'src/a.js': '', 'src/b.js': '', 'test/a.test.js': '' };
  const askOf = (lines: Record<string, [number, number][]>, report = run, min = 60) =>
    ask({ run: report, coverage: { lcov: 'coverage/lcov.info', changed: { min } } }, files, {
      changed: async () => new Map(Object.entries(lines)),
    });
  expect(await askOf({ 'src/a.js': [[2, 3]], 'test/a.test.js': [[1, 1]] })).toMatchObject({
    verdict: 'failed',
    summary:
      'it ended with exit code 0, but 75 % of 4 lines ran; 50 % of 2 changed lines ran, 60 % are wanted (not run: src/a.js:3)',
    coverage: { covered: 3, total: 4 },
    changed: { covered: 1, total: 2, uncovered: ['src/a.js:3'], unreported: [] },
  });
  expect(await askOf({ 'src/a.js': [[1, 2]], 'src/b.js': [[1, 1]] })).toMatchObject({
    verdict: 'passed',
    summary: '75 % of 4 lines ran; 100 % of 2 changed lines ran; the report does not name src/b.js',
  });
  expect(await askOf({})).toMatchObject({ verdict: 'passed', summary: '75 % of 4 lines ran; no changed line can run' });
  const elsewhere = ['node', '-e', `fs.writeFileSync('coverage/lcov.info', 'SF:z.js\\nDA:1,1\\nend_of_record')`];
  expect(await askOf({ 'src/a.js': [[1, 1]] }, elsewhere)).toMatchObject({
    verdict: 'error',
    summary: expect.stringContaining('names no file of the service'),
  });
});

test('what Playwright let pass at a second try is told', async () => {
  const report = fixture('playwright/results.json')
    .replaceAll('unexpected"', 'expected"')
    .replace(/"expected": 2/, '"unexpected": 0');
  const good = report.replace(/"expected": 1/, '"expected": 3');
  const run = ['node', '-e', `fs.writeFileSync('reports/e2e.json', ${JSON.stringify(good)})`];
  expect(await ask({ run, playwright: 'reports/e2e.json' }, {})).toMatchObject({
    verdict: 'passed',
    summary: '4 passed (1 flaky), 0 failed, 1 skipped',
    tests: { passed: 4, flaky: 1 },
  });
});

test('a load test is judged by limits of its own, and by what runs now', async () => {
  const wrk = fixture('performance/wrk-latency.txt');
  const run = ['node', '-e', `fs.writeFileSync('reports/wrk.txt', ${JSON.stringify(wrk)})`];
  const asked: string[] = [];
  const askFor = (wish: object, before: Measures | null = null, files: Parameters<typeof memorySource>[0] = {}) =>
    ask({ run, performance: { wrk: 'reports/wrk.txt', ...wish } }, files, {
      baseline: async (load) => {
        asked.push(load);
        return before === null ? null : { environment: 'prod', measures: before };
      },
    });
  const measured = 'p50 7.64 ms, p90 39.7 ms, p99 64 ms, 429 requests/s, 0 % errors';
  const limits = { max: { p90: '50ms', errors: 1 }, min: { rps: 400, requests: 900 } };
  expect(await askFor(limits)).toMatchObject({
    verdict: 'passed',
    summary: measured,
    performance: { measures: { mean: 15.41, p90: 39.72, rps: 429.36 } },
  });
  expect(await askFor({ max: { p90: '30ms' }, min: { rps: 500 } })).toMatchObject({
    verdict: 'failed',
    summary: `it ended with exit code 0, but ${measured}; p90 39.7 ms, at most p90 30 ms wanted; 429 requests/s, at least 500 requests/s wanted`,
  });
  for (const [wish, words] of [
    [{ max: { p95: '50ms' } }, 'does not tell p95'],
    [{ min: { requests: 1000 } }, '904 requests say nothing, 1000 are wanted'],
  ] as const)
    expect(await askFor(wish)).toMatchObject({ verdict: 'error', summary: expect.stringContaining(words) });

  const baseline = { environment: 'prod', slower: { p90: 10, rps: 10 } };
  expect(await askFor({ baseline }, { p90: 37, rps: 470 })).toMatchObject({ verdict: 'passed', summary: measured });
  expect(await askFor({ baseline }, { p90: 30, rps: 858.72 })).toMatchObject({
    verdict: 'failed',
    summary: `it ended with exit code 0, but ${measured}; p90 is 32.4 % slower than in prod (p90 30 ms), at most 10 % are wanted; rps is 50 % fewer than in prod (859 requests/s), at most 10 % are wanted`,
  });
  const none = 'no baseline yet: what runs in prod was not measured so';
  expect(await askFor({ baseline }, null)).toMatchObject({ verdict: 'passed', summary: `${measured}; ${none}` });
  expect(await askFor({ baseline: { ...baseline, without: 'fail' } }, null)).toMatchObject({
    verdict: 'failed',
    summary: expect.stringContaining(none),
  });
  expect(await askFor({ baseline }, { p90: 40 })).toMatchObject({
    verdict: 'passed',
    summary: `${measured}; no baseline yet for rps in prod`,
  });
  expect(new Set(asked).size).toBe(1);
  await askFor({ baseline }, null, { 'test/load.js': 'another load' });
  expect(new Set(asked).size).toBe(2);
});

test('a report in the UTF-16 of Windows is read, and one in no encoding is not', async () => {
  const text = '<testsuite><testcase name="a"/></testsuite>';
  const write = (bytes: Buffer) => [
    'node',
    '-e',
    `fs.writeFileSync('reports/junit.xml', Buffer.from('${bytes.toString('base64')}', 'base64'))`,
  ];
  const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
  expect(await ask({ run: write(utf16), junit: 'reports/junit.xml' }, {})).toMatchObject({ verdict: 'passed' });
  const latin = Buffer.from(text.replace('"a"', '"\xe4"'), 'latin1');
  expect(await ask({ run: write(latin), junit: 'reports/junit.xml' }, {})).toMatchObject({
    verdict: 'error',
    summary: 'it ended with exit code 0, but its JUnit report is not UTF-8',
  });
});

test.each([
  [{ coverage: { min: 80 } }],
  [{ coverage: { lcov: 'a/b', cobertura: 'a/c' } }],
  [{ coverage: { lcov: 'lcov.info' } }],
  [{ coverage: { lcov: 'a/b', min: 101 } }],
  [{ coverage: { lcov: 'a/b', changed: {} } }],
  [{ sarif: { file: 'a/b', errors: -1 } }],
  [{ performance: { max: { p95: '1s' } } }],
  [{ performance: { k6: 'a/b', wrk: 'a/c' } }],
  [{ performance: { k6: 'a/b', max: { p42: '1s' } } }],
  [{ performance: { k6: 'a/b', baseline: { environment: 'prod', slower: {} } } }],
])('what cannot be read as a wish for a report is refused: %j', (fields) => {
  expect(z.strictObject(command.fields).safeParse({ run: 'true', ...fields }).success).toBe(false);
});

function fixture(name: string): string {
  return readFileSync(new URL(`../../../../fixtures/${name}`, import.meta.url), 'utf8');
}

async function ask(
  fields: Record<string, unknown>,
  files: Parameters<typeof memorySource>[0],
  more: Partial<Pick<CheckRequest<unknown>, 'urls' | 'timeoutMs' | 'signal' | 'log' | 'changed' | 'baseline'>> = {},
): Promise<CheckAnswer> {
  const source: SourceTree = memorySource(files);
  const config = { entrypoint: [], command: [], env: {}, workdir: '/app', user: '' };
  const tools: CheckTools = {
    runner: copyingRunner(),
    image: async () => ({ reference: `r/web@${sha256('web')}`, rootfs: join(home, 'rootfs'), config }),
    directory: join(home, 'work'),
    sonar: null,
  };
  return command.ask(
    {
      definition: z.strictObject(command.fields).parse(fields),
      check: 'unit',
      service: 'web',
      digest: sha256('web'),
      commit: '4f2a91c',
      source,
      parts: [],
      urls: {},
      name: 'check-1',
      timeoutMs: 60_000,
      log: (line) => lines.push(line),
      signal: new AbortController().signal,
      ...more,
    },
    tools,
  );
}

async function hashOfFolder(folder: string): Promise<string> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
  const texts = await Promise.all(
    files.map(
      async ({ parentPath, name }) => `${parentPath}/${name} ${sha256Hex(await readFile(join(parentPath, name)))}`,
    ),
  );
  return sha256Hex(texts.toSorted().join('\n'));
}
