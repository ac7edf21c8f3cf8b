import fc from 'fast-check';
import { expect, test } from 'vitest';

import { hasCode } from '../../../lib/error.ts';
import { cases } from '../../../lib/testing/cases.ts';
import { sha256 } from '../../../lib/digest.ts';
import { findImages, pinImages } from './dockerfile.ts';
import { parseIgnore } from './ignore.ts';
import { expandVariables } from './variables.ts';

const WORDS =
  `FROM from COPY RUN ADD ARG ONBUILD AS --from=0 --from=a --from=b:1 --mount=type=bind,from=b:1 --platform=$P node:20
  $A \${A} \${A:-b} \${A:+b} \${A:- A=1 A=$A B=$A$A a b:1 scratch <<EOF <<-"END" EOF END # #escape=\` #syntax=b:1 ' " @sha256:x`.split(
    /\s+/,
  );
const word = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...WORDS) },
  fc.string({ unit: 'binary', maxLength: 12 }),
);
const line = fc.array(word, { maxLength: 6 }).map((words) => words.join(' '));
const dockerfile = fc
  .array(fc.tuple(line, fc.constantFrom('\n', '\\\n', '`\n', '\r\n', '\n\n', '\t\n')), { maxLength: 15 })
  .map((lines) => lines.flat().join(''));

test('whatever a Dockerfile says, each image that it names is pinned and all else stays, or it is refused by name', () => {
  fc.assert(
    fc.property(dockerfile, fc.dictionary(fc.constantFrom('A', 'B', 'P'), word), (text, args) => {
      try {
        const images = findImages(text, args);
        for (const { start, end } of images) expect(start < end && end <= text.length).toBe(true);
        const pins = Object.fromEntries(images.map(({ reference }) => [reference, sha256(reference)]));
        const pinned = pinImages(text, args, pins);
        const again = findImages(pinned.text, args);
        expect(again).toHaveLength(images.length);
        expect(again.every(({ reference }) => reference.includes('@'))).toBe(true);
        expect(without(pinned.text, again)).toBe(without(text, images));
      } catch (error) {
        if (!hasCode(error, 'artifact.dockerfile-reference', 'artifact.unpinned')) throw error;
      }
    }),
    cases(500),
  );
});

test('a Dockerfile that is made to take for ever, or to fill the memory, is read at once', () => {
  const began = performance.now();
  const many = 200_000;
  for (const text of [
    `RUN ${'<<A '.repeat(many)}\n${'A\n'.repeat(many)}FROM a`,
    `FROM ${'${A:-'.repeat(many)}`,
    `ARG A=${'${A:-'.repeat(many)}\nFROM a`,
    `ARG A=${'x'.repeat(10_000)}\n${'ARG A=$A$A\n'.repeat(60)}FROM $A`,
    `FROM a\nRUN ${'\\\n'.repeat(many)}x`,
    `${'#'.repeat(many)}\n#${' '.repeat(many)}\nFROM a`,
    `FROM a\nRUN --mount=${','.repeat(many)} x`,
  ]) {
    try {
      findImages(text, {});
    } catch (error) {
      expect(error).toMatchObject({ code: 'artifact.dockerfile-reference' });
      expect(String(error).length).toBeLessThan(1000);
    }
  }
  expect(performance.now() - began).toBeLessThan(20_000);
});

test('variables that are made of variables do not grow without end', () => {
  expect(expandVariables('$A$A', new Map([['A', 'x'.repeat(10_000)]]))).toBeNull();
  expect(expandVariables('$A', new Map([['A', 'x'.repeat(10_000)]]))).toHaveLength(10_000);
});

test('any .dockerignore says of any path yes or no; one that says what to keep and what to bring back says the last of both', () => {
  const pattern = fc.oneof(
    fc.array(fc.constantFrom('**', '*', '?', '/', 'a', 'b', '[a-b]', '[', ']', '[^a]', '\\', '!', '.', '..', ' '), {
      maxLength: 8,
    }),
    fc.array(fc.string({ unit: 'binary', maxLength: 3 }), { maxLength: 4 }),
  );
  const path = fc
    .array(fc.constantFrom('a', 'b', 'ab', '.a', '[', '*'), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join('/'));
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 6 }), path, (patterns, one) => {
      const text = patterns.map((parts) => parts.join('')).join('\n');
      expect(parseIgnore(text)(one)).toBe(parseIgnore(`${text}\n`)(one));
      expect(parseIgnore(`${text}\n**`)(one)).toBe(true);
      expect(parseIgnore(`${text}\n**\n!${one.replaceAll(/[[*]/g, '\\$&')}`)(one)).toBe(false);
    }),
    cases(500),
  );
});

test('patterns and files that are too many together are refused, however each of them is', () => {
  const ignores = parseIgnore('**/*a*b\n'.repeat(1000), 1_000_000);
  const compare = () => Array.from({ length: 1000 }, (_, i) => ignores(`a/folder/deep/${i}`));
  expect(compare).toThrow(expect.objectContaining({ code: 'artifact.dockerignore-slow' }));
});

function without(text: string, parts: readonly { start: number; end: number }[]): string {
  return parts.reduceRight((rest, { start, end }) => `${rest.slice(0, start)}\0${rest.slice(end)}`, text);
}
