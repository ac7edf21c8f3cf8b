import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { createBuildKitReader } from './buildkit-log.ts';

type Field = readonly [number: number, value: string | Buffer | null];

/** As protobuf writes it; null stands for a number, which only has to be there. */
function message(...fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (value === null) return [Buffer.from([number * 8, 1])];
      const bytes = Buffer.from(value);
      return [Buffer.from([number * 8 + 2, (bytes.length % 128) | 128, Math.floor(bytes.length / 128)]), bytes];
    }),
  );
}

const begun = message([1, message([1, 'sha256:a'], [3, '[2/4] RUN npm ci'], [5, null])]);
const output = message([3, message([1, 'sha256:a'], [4, 'added 3 packages\n'])]);
const failed = message([
  1,
  message([1, 'sha256:a'], [3, '[2/4] RUN npm ci'], [5, null], [6, null], [7, 'exit code: 1']),
]);

test('a step is told when it begins, with its output and its error', () => {
  expect(linesOf([begun, begun, output, failed])).toEqual([
    '#1 [2/4] RUN npm ci',
    '#1 added 3 packages',
    '#1 failed: exit code: 1',
  ]);
});

test('whatever comes in place of a message, the reader goes on, and says no more than what came', () => {
  const real = Buffer.concat([begun, output, failed]);
  const change = fc.tuple(fc.nat({ max: real.length }), fc.nat({ max: 9 }), fc.uint8Array({ maxLength: 12 }));
  const changed = fc.array(change, { maxLength: 5 }).map((changes) =>
    changes.reduce((bytes, [at, length, put]) => {
      return Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + length)]);
    }, real),
  );
  const any = fc.oneof(
    changed,
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
  fc.assert(
    fc.property(fc.array(any, { maxLength: 4 }), (messages) => {
      const lines = linesOf(messages);
      const came = messages.reduce((sum, { length }) => sum + length, 0);
      // a byte that is no text becomes a sign of three
      expect(lines.join('').length).toBeLessThanOrEqual(3 * came + 40 * lines.length);
      expect(linesOf([...messages, Buffer.alloc(0)])).toEqual(lines);
    }),
    cases(500),
  );
});

function linesOf(messages: readonly Buffer[]): string[] {
  const lines: string[] = [];
  const reader = createBuildKitReader((line) => lines.push(line));
  messages.forEach((one) => reader.read(one));
  reader.end();
  return lines;
}
