import fc from 'fast-check';
import { expect, test } from 'vitest';

import { parseArgv } from './argv.ts';

test('a command line becomes the argument array that it means', () => {
  expect(parseArgv('node --test test')).toEqual({ argv: ['node', '--test', 'test'] });
  expect(parseArgv(`  say "a b" 'c $d' e\\ f "" "g\\"h" `)).toEqual({
    argv: ['say', 'a b', 'c $d', 'e f', '', 'g"h'],
  });
});

test.each(['a | b', 'a && b', 'echo $HOME', 'rm *', 'a > b', '"$x"', '`a`', '(a)'])(
  'what only a shell could do is refused: %s',
  (line) => {
    expect(parseArgv(line)).toMatchObject({ wrong: expect.stringContaining('needs a shell') });
  },
);

test('an unfinished line is refused', () => {
  expect(parseArgv('a "b')).toEqual({ wrong: 'a quote is not closed' });
  expect(parseArgv("a 'b")).toEqual({ wrong: 'a quote is not closed' });
  expect(parseArgv('a \\')).toEqual({ wrong: 'it ends with a backslash' });
  expect(parseArgv('  ')).toEqual({ wrong: 'it names no program' });
});

test('any arguments survive being quoted and split', () => {
  const words = fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }).filter(([first]) => first !== '');
  fc.assert(
    fc.property(words, (argv) => {
      const line = argv.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
      expect(parseArgv(line)).toEqual({ argv });
    }),
  );
});
