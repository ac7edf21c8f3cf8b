import { expect, test } from 'vitest';
import { z } from 'zod';

import { sha256 } from '../lib/digest.ts';
import { backingSchema, type PinnedPart } from './backing.ts';
import { type CheckDefinition, checkSchema } from './check.ts';
import { askCheck, checks, kindOf } from './checks.ts';
import { differenceOf, mustAsk, type QuestionParts, questionOf } from './question.ts';
import { copyingRunner } from './testing/copying-runner.ts';
import { memorySource } from './testing/source.ts';

const schema = checkSchema(checks);
const unit = schema.parse({ run: 'node --test', during: 'build' });

test('each kind is told apart by its own fields', () => {
  expect(unit).toMatchObject({
    kind: 'command',
    during: 'build',
    timeoutMs: 600_000,
    definition: { run: ['node', '--test'] },
  });
  expect(schema.parse({ http: { path: '/' } })).toMatchObject({ kind: 'http-probe', during: 'deployment' });
  expect(schema.parse({ sonar: 'shop:web' })).toMatchObject({ kind: 'sonar', during: 'release' });
  expect(schema.parse({ scan: {} })).toMatchObject({ kind: 'scan', during: 'release' });
  expect(schema.safeParse({}).success).toBe(false);
  expect(schema.safeParse({ run: 'a', http: { path: '/' } }).success).toBe(false);
});

test('a probe cannot be asked before anything runs', () => {
  expect(schema.safeParse({ http: { path: '/' }, during: 'build' }).success).toBe(false);
});

test.each(checks.map((kind) => [kind.name, kind] as const))('%s keeps the contract of a kind', (_, kind) => {
  expect(checks.filter(({ name }) => name === kind.name)).toHaveLength(1);
  const required = Object.values(kind.fields).filter((field) => !(field as z.ZodType).safeParse(undefined).success);
  expect(required.length).toBeGreaterThan(0); // else two kinds could not be told apart
  for (const common of ['during', 'always', 'timeout', 'retries']) expect(kind.fields).not.toHaveProperty(common);
  expect(z.toJSONSchema(z.strictObject(kind.fields), { io: 'input' })).toMatchObject({ type: 'object' });
  expect(kindOf({ ...unit, kind: kind.name })).toBe(kind);
});

test('a kind that a newer server knows is refused', () => {
  expect(() => kindOf({ ...unit, kind: 'licence' })).toThrow(/Upgrade this server/);
});

const part = (image: string): PinnedPart => ({
  ...backingSchema.parse({ image, port: 5432 }),
  name: 'postgres',
  digest: sha256('17'),
});

const parts: QuestionParts = {
  check: unit,
  kind: kindOf(unit),
  service: 'web',
  digests: { web: sha256('1') },
  source: memorySource({ 'server.js': 'x', 'test/a.js': 'a' }),
  parts: [],
  environment: null,
};

test('a question is the same for another commit, name or time limit', () => {
  const source = memorySource({ 'server.js': 'other', 'README.md': 'new', 'test/a.js': 'a' });
  expect(questionOf({ ...parts, source })).toBe(questionOf(parts));
  expect(questionOf({ ...parts, check: { ...unit, timeoutMs: 1, always: true } })).toBe(questionOf(parts));
});

test.each<[string, Partial<QuestionParts>]>([
  ['another digest', { digests: { web: sha256('2') } }],
  ['another test', { source: memorySource({ 'test/a.js': 'b' }) }],
  ['a test that moved', { source: memorySource({ 'test/b.js': 'a' }) }],
  ['a test that can be executed', { source: memorySource({ 'test/a.js': { mode: '100755', text: 'a' } }) }],
  ['another command', { check: schema.parse({ run: 'node --test .', during: 'build' }) }],
  ['more tries', { check: { ...unit, retries: 1 } }],
  ['another service', { service: 'api' }],
  ['a part beside it', { parts: [part('postgres:17')] }],
  ['another environment', { environment: { MODE: 'x' } }],
  ['other changes', { against: { changed: [['a.js', null, '100644 1']] } }],
  ['a newer kind', { kind: { ...kindOf(unit), version: '2' } }],
])('a question is another one with %s', (_, other) => {
  expect(questionOf({ ...parts, ...other })).not.toBe(questionOf(parts));
});

test('what changed is asked of a commit, so not while an artifact is built', () => {
  const wish = (during: string) => ({ run: 'x', coverage: { lcov: 'a/b', changed: { min: 80 } }, during });
  expect(() => schema.parse(wish('build'))).toThrow('whatever it is compared with');
  expect(schema.parse(wish('release'))).toMatchObject({ kind: 'command', during: 'release' });
});

test('two definitions differ in what makes their questions differ, and in nothing else', () => {
  const others: [CheckDefinition, string[]][] = [
    [schema.parse({ run: 'node --test .', during: 'build' }), ['run']],
    [schema.parse({ run: 'node --test', during: 'release' }), ['during']],
    [{ ...unit, retries: 2 }, ['retries']],
    [schema.parse({ sonar: 'shop:web' }), ['kind']],
    [{ ...unit, timeoutMs: 1, always: true }, []],
  ];
  expect(differenceOf(unit, { ...unit, backing: { postgres: part('postgres:17') } })).toEqual(['with']);
  for (const [check, differs] of others) {
    expect(differenceOf(unit, check)).toEqual(differs);
    const asked = questionOf({ ...parts, check, kind: kindOf(check) });
    expect(asked === questionOf(parts)).toBe(differs.length === 0);
  }
});

test('the part beside it belongs to a question by its digest and settings, not by the name of its image or its patience', () => {
  const one = questionOf({ ...parts, parts: [part('postgres:17')] });
  expect(questionOf({ ...parts, parts: [{ ...part('mirror/postgres:17'), timeout: 1 }] })).toBe(one);
  expect(questionOf({ ...parts, parts: [{ ...part('postgres:17'), digest: sha256('other') }] })).not.toBe(one);
  expect(questionOf({ ...parts, parts: [{ ...part('postgres:17'), env: { A: 'b' } }] })).not.toBe(one);
});

test('an answered question is not asked twice, unless it must always be', () => {
  expect(mustAsk(unit, null)).toBe(true);
  expect(mustAsk(unit, { verdict: 'passed' })).toBe(false);
  expect(mustAsk(unit, { verdict: 'failed' })).toBe(false);
  expect(mustAsk(unit, { verdict: 'error' })).toBe(true);
  expect(mustAsk({ ...unit, always: true }, { verdict: 'passed' })).toBe(true);
});

test('asking tells the verdict in the log, and a cancelled one is not asked', async () => {
  const lines: string[] = [];
  const check: CheckDefinition = schema.parse({ http: { path: '/' } });
  const request = {
    check: 'smoke',
    service: 'web',
    digest: sha256('1'),
    commit: '4f2a91c',
    source: parts.source,
    parts: [],
    urls: {},
    name: 'x',
    log: (line: string) => lines.push(line),
    signal: new AbortController().signal,
  };
  const image = () => Promise.reject(new Error('none'));
  const tools = { runner: copyingRunner(), image, directory: '/nowhere', sonar: null };
  expect(await askCheck(check, request, tools)).toMatchObject({ verdict: 'error' });
  expect(lines).toEqual(['check smoke of web: error: service "web" has no URL here']);
  lines.length = 0;
  expect(await askCheck({ ...check, retries: 1 }, request, tools)).toMatchObject({
    verdict: 'error',
    summary: 'service "web" has no URL here (2 tries)',
  });
  expect(lines).toHaveLength(3);
  expect(lines[1]).toBe('try 2 of 2');
  const cancelled = { ...request, signal: AbortSignal.abort(new Error('cancelled')) };
  await expect(askCheck(check, cancelled, tools)).rejects.toThrow('cancelled');
});
