import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';

import { cases } from '../../../lib/testing/cases.ts';
import { parseManifest } from './manifest.ts';

test('a key that a map has twice is refused wherever the reader of YAML would refuse it', () => {
  const keys = fc.constantFrom('a', 'b', '"a"', '1', '"1"', '0x1', 'true', 'null', '~', '?', '? [a]', 'é');
  const maps = fc.array(keys, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      fc.array(maps, { minLength: 1, maxLength: 3 }),
      fc.constantFrom('---\n', 'in: ', '- '),
      (all, between) => {
        const text = all
          .map((map) =>
            between === '---\n'
              ? map.map((key) => `${key}: x\n`).join('')
              : `{${map.map((key) => `${key}: x`).join(', ')}}\n`,
          )
          .map((map, index) => (between === 'in: ' ? `in${index}: ${map}` : `${between}${map}`))
          .join('');
        const isRefused = (['1.1', '1.2'] as const).some((version) =>
          parseAllDocuments(text, { version, uniqueKeys: true, logLevel: 'silent' }).some(
            ({ errors }) => errors.length > 0,
          ),
        );
        if (isRefused) expect(() => parseManifest(Buffer.from(text), 'f')).toThrow(/cannot be read as YAML/);
        else expect(parseManifest(Buffer.from(text), 'f').text).toBe(text);
      },
    ),
    cases(200),
  );
});

test('it says on which line the second one stands', () => {
  expect(() => parseManifest(Buffer.from('a: 1\nb:\n  c: 1\n  "c": 2\n'), 'web.yaml')).toThrow(
    'web.yaml cannot be read as YAML: line 4: a key stands there twice.',
  );
});
