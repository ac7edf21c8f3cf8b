import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { createBacklog } from './log-lines.ts';

test('whatever comes while nothing can be written, every line is there or counted where it is missing', () => {
  const act = fc.oneof({ weight: 5, arbitrary: fc.constant('push' as const) }, fc.integer({ min: 1, max: 4 }));
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const backlog = createBacklog({ lines: 5, bytes: 1000 });
      let next = 0;
      let expected = 0;
      const written: string[] = [];
      const write = (count: number) => {
        const lines = backlog.first(count);
        if (next % 2 === 0) backlog.push(String(next++)); // comes while they are being written
        backlog.drop(lines.length);
        written.push(...lines);
      };
      for (const one of acts) {
        if (one === 'push') backlog.push(String(next++));
        else write(one);
        expect(backlog.length).toBeLessThanOrEqual(2 * 5 + 1);
      }
      while (backlog.length > 0) write(1);
      for (const line of written) {
        const [, missing] = /^\.\.\. (\d+) lines were left out/.exec(line) ?? [];
        if (missing === undefined) expect(line).toBe(String(expected++));
        else expected += Number(missing);
      }
      expect(expected).toBe(next);
    }),
    cases(200),
  );
});
