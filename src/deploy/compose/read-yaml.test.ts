import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { readYaml } from './read-yaml.ts';
import { literalYamlOf, yamlOf } from './write-yaml.ts';

const read = (text: string): unknown => readYaml(Buffer.from(text), 'compose.yaml');

test('anchors, merge keys and comments are followed, and what is read is plain', () => {
  const text = `
x-env: &env { A: one, B: two } # both need it
services:
  web: { environment: { <<: *env, B: three } }
  worker: { environment: *env }
`;
  expect(read(text)).toEqual({
    'x-env': { A: 'one', B: 'two' },
    services: { web: { environment: { A: 'one', B: 'three' } }, worker: { environment: { A: 'one', B: 'two' } } },
  });
});

test('a number that Docker would read as octal stays as it was written', () => {
  expect(read('mode: 0440\nport: 0\nshare: 0.5\nkey: "0440"')).toEqual({
    mode: '0440',
    port: 0,
    share: 0.5,
    key: '0440',
  });
});

test.each([
  ['aliases of aliases', `a: &a [x, x, x, x, x, x, x, x, x]\n${bomb(9)}`, /too many aliases/],
  [
    'a long list that is used again and again',
    `a: &a [${'x, '.repeat(3000)}]\nb: [${'*a, '.repeat(100)}]`,
    /values|aliases/,
  ],
  [
    'a long text that is used again and again',
    `a: &a ${'x'.repeat(100_000)}\nb: [${'*a, '.repeat(50)}]`,
    /too much text/,
  ],
  ['deep lists', `a: ${'['.repeat(5000)}${']'.repeat(5000)}`, /nested too deep/],
  [
    'deep maps',
    `${Array.from({ length: 40 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')} 1`,
    /nested too deep/,
  ],
  ['a key twice', 'services: {}\nservices: {}', /line 2/],
  ['a tag', 'services: !reset null', /line 1/],
  ['an alias of nothing', 'services: *nothing', /names nothing/],
  ['two documents', 'services: {}\n---\nservices: {}', /document/],
  ['a key of prototypes', '__proto__: { services: {} }', /no plain word/],
  ['a list', '- services', /no mapping/],
  ['nothing', '', /no mapping/],
  ['a NUL', 'a: "\\0"', /NUL/],
])('%s is refused', (_what, text, why) => {
  expect(() => read(text)).toThrow(
    expect.objectContaining({ code: 'compose.not-yaml', what: expect.stringMatching(why) as string }),
  );
});

test('bytes that are no text, and files that are too large, are refused', () => {
  const refusal = expect.objectContaining({ code: 'compose.not-yaml' }) as Error;
  expect(() => readYaml(Buffer.from([0x61, 0x3a, 0xff]), 'compose.yaml')).toThrow(refusal);
  expect(() => readYaml(Buffer.alloc(600_000, 0x20), 'compose.yaml')).toThrow(refusal);
});

test('what is written is read again as it was, whatever texts it holds', () => {
  const text = fc
    .string({ unit: 'binary' })
    .filter((one) => one.isWellFormed() && !one.includes('\0') && one !== '__proto__');
  const values = fc.dictionary(text, fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(text)));
  fc.assert(
    fc.property(values, (value) => {
      expect(read(yamlOf(value))).toEqual({ ...value });
    }),
    cases(100),
  );
});

test('a literal text has each of its dollars twice', () => {
  expect(JSON.parse(literalYamlOf({ a: '$HOME ${X:-$Y} $$', b: [1, '$'] }))).toEqual({
    a: '$$HOME $${X:-$$Y} $$$$',
    b: [1, '$$'],
  });
});

function bomb(levels: number): string {
  return Array.from({ length: levels }, (_, level) => {
    const [name, before] = [String.fromCharCode(98 + level), String.fromCharCode(97 + level)];
    return `${name}: &${name} [${`*${before}, `.repeat(9)}]`;
  }).join('\n');
}
