import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDocument } from 'yaml';

import { cases } from '../../../lib/testing/cases.ts';
import { writeScalar } from './scalar.ts';

const texts = fc.oneof(
  fc.stringMatching(/^[\u0020-\u007e]{0,20}$/),
  fc.stringMatching(/^[A-Za-z][A-Za-z0-9._/@:=+-]{0,12}$/),
  fc.stringMatching(/^[0-9._eE+-]{1,8}$/),
  fc.constantFrom('y', 'No', 'ON', 'NaN', 'inf', 'null', 'x0', 'e5', 'v1.4', '1.2.3', '1234e56', '12:30', '2001-01-01'),
);

test('what is written is read as that text by YAML 1.1 and 1.2, whatever it is and wherever it stands', () => {
  fc.assert(
    fc.property(
      texts,
      fc.constantFrom('plain' as const, 'single' as const, 'double' as const),
      fc.boolean(),
      (text, style, inFlow) => {
        const written = writeScalar(text, style, inFlow);
        for (const version of ['1.1', '1.2'] as const) {
          const document = parseDocument(inFlow ? `[${written}, x]` : `key: ${written}\n`, { version });
          expect(document.errors).toEqual([]);
          expect(document.getIn([inFlow ? 0 : 'key'])).toBe(text);
        }
      },
    ),
    cases(1_000),
  );
});

test('a reference to an image stays plain, and what some reader takes for something else is quoted', () => {
  const reference = `shop/web@sha256:${'0'.repeat(64)}`;
  expect(writeScalar(reference, 'plain', false)).toBe(reference);
  expect(writeScalar('v1.4.0', 'plain', true)).toBe('v1.4.0');
  expect(['on', 'Yes', 'null', '1234e56', '12:30', ''].map((text) => writeScalar(text, 'plain', false))).toEqual(
    ['on', 'Yes', 'null', '1234e56', '12:30', ''].map((text) => `"${text}"`),
  );
});
