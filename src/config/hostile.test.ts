import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { parseConfig } from './config.ts';
import { LIMITS } from './document.ts';
import { ConfigError } from './problem.ts';
import { families } from './testing/families.ts';

const MINIMAL =
  'project: a\nservices: { b: { path: b, build: dockerfile } }\nenvironments: { c: { on: manual, deploy: process } }\n';

test('any bytes give a configuration or a ConfigError, never another error', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), holds), cases(300));
});

test('any text gives a configuration or a ConfigError', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 400 }), holds), cases(300));
});

test('any words of YAML give a configuration or a ConfigError', () => {
  const words =
    'project|services|environments|: |- |\n|  |{|}|[|]|,|&a |*a|!!str |? |"|\'|>|#|%|@|`|---\n|...\n|<<|~|.inf|.nan|0x1F|1e999|\t|\r\n|\0|' +
    'build|node|on|branch|gates|${|deploy|docker|__proto__|constructor|\ufeff|null';
  const word = fc.constantFrom('|', ...words.split('|'));
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 60 }).map((words) => words.join('')),
      holds,
    ),
    cases(1000),
  );
});

test('any change of a good file gives a configuration or a ConfigError', () => {
  const change = fc.tuple(fc.nat(MINIMAL.length), fc.nat(8), fc.string({ unit: 'binary', maxLength: 6 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      holds(changes.reduce((text, [at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut), MINIMAL));
    }),
    cases(500),
  );
});

test('any JSON in the place of any value gives a configuration or a ConfigError', () => {
  const places = ['project', 'services', 'roles', 'base', 'environments'];
  fc.assert(
    fc.property(fc.constantFrom(...places), fc.json(), (place, json) => {
      holds(`${MINIMAL.replace(new RegExp(`^${place}: .*$`, 'm'), '')}${place}: ${json}\n`);
      holds(MINIMAL.replace('dockerfile', json));
      holds(MINIMAL.replace('manual', json));
    }),
    cases(500),
  );
});

test('aliases that multiply are refused before they fill the memory', () => {
  const names = 'abcdefghij'.split('');
  const bomb = names.map(
    (name, i) =>
      `${name}: &${name} [${
        i === 0
          ? 'x'
          : Array(9)
              .fill(`*${names[i - 1] ?? ''}`)
              .join(', ')
      }]`,
  );
  expectRefused(bomb.join('\n'), /too many/);
});

test('a long text may not be told again and again', () => {
  expectRefused(`a: &a ${'x'.repeat(200_000)}\nb: [${Array(50).fill('*a').join(', ')}]\n`, /too much text/);
});

test('an alias of itself is refused', () => {
  expectRefused('project: &a { project: *a }', /nested too deep/);
  expectRefused('project: &a [*a, *a]', /nested too deep|too many/);
  expectRefused('project: *nobody', /alias/i);
});

test.each(['[', '{a: ', '- ', '? ', '[{a: ', '&a '])('nesting without end is refused: %s', (opening) => {
  expectRefused(opening.repeat(Math.floor((LIMITS.bytes - 10) / opening.length)));
});

test('indented nesting without end is refused', () => {
  expectRefused(Array.from({ length: 500 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join(''), /nested too deep/);
});

test('a file that is too big, or no text, is refused', () => {
  expectRefused(`# ${'x'.repeat(LIMITS.bytes)}`, /more than 512 kB/);
  expectRefused(Buffer.from([0x70, 0xff, 0xfe]), /not UTF-8/);
  expectRefused('');
  expectRefused('a: 1\n---\nb: 2\n');
});

test('numbers that JSON cannot say are refused', () => {
  expectRefused(MINIMAL.replace('project: a', 'project: .inf'), /not a plain value/);
  expectRefused(MINIMAL.replace('project: a', 'project: 1e999'), /not a plain value/);
});

function holds(source: string | Uint8Array): void {
  try {
    parseConfig(source, families);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems.every(({ line, column }) => line >= 1 && column >= 1)).toBe(true);
  }
}

function expectRefused(source: string | Uint8Array, message?: RegExp): void {
  let thrown: unknown;
  try {
    parseConfig(source, families);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(ConfigError);
  if (message !== undefined) expect((thrown as ConfigError).what).toMatch(message);
}

test.each(['"a\\0b"', '"\\uD800"', '{ "a\\0b": 1 }'])(
  'a text that no program could be given is refused: %s',
  (text) => {
    const config = MINIMAL.replace('deploy: process', `deploy: process, config: { A: ${text} }`);
    expect(() => parseConfig(config, families)).toThrow(/NUL or half a character/);
  },
);
