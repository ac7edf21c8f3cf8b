import fc from 'fast-check';
import { expect, test } from 'vitest';

import { demultiplex, splitLines } from './log-lines.ts';

test('the lines are the same however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), fc.nat({ max: 7 }), (texts, cut) => {
      const text = texts.join('\n');
      const expected = text.split('\n').map((line) => line.replace(/\r$/, ''));
      if (expected.at(-1) === '' && !text.endsWith('\r')) expected.pop();
      expect(linesOf(splitLines, pieces(Buffer.from(text), cut + 1))).toEqual(expected);
    }),
  );
});

test('output and errors are told apart, so that a line of one never has a piece of the other', () => {
  const frames = [frame(1, 'out '), frame(2, 'error\n'), frame(1, 'put\nrest'), frame(2, 'ä')];
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), (cut) => {
      expect(linesOf(demultiplex, pieces(Buffer.concat(frames), cut))).toEqual(['error', 'out put', 'rest', 'ä']);
    }),
  );
});

test('a line without end does not fill the memory', () => {
  const lines = linesOf(splitLines, [Buffer.alloc(100_000, 'x')]);
  expect(lines.length).toBeGreaterThan(5);
  expect(lines.join('').length).toBe(100_000);
});

function linesOf(reader: typeof splitLines, chunks: readonly Buffer[]): string[] {
  const lines: string[] = [];
  const into = reader((line) => lines.push(line));
  chunks.forEach((chunk) => into.write(chunk));
  into.end();
  return lines;
}

function pieces(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

function frame(stream: number, text: string): Buffer {
  const bytes = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}
