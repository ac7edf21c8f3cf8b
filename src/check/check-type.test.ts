import { expect, test } from 'vitest';

import { checkTitle, typeOf } from './check-type.ts';

test('a check is of the type that it says, else of that which its name says, else of none', () => {
  expect(typeOf('checkout', { type: 'end-to-end' })).toBe('end-to-end');
  expect(typeOf('unit', { type: 'integration' })).toBe('integration');
  expect(typeOf('smoke', { type: null })).toBe('smoke');
  expect(typeOf('e2e', { type: null })).toBe('end-to-end');
  expect(typeOf('lint', { type: null })).toBeNull();
});

test('what a name says already is not said twice', () => {
  expect(checkTitle('checkout', 'end-to-end')).toBe('checkout (end-to-end)');
  expect(checkTitle('e2e', 'end-to-end')).toBe('e2e');
  expect(checkTitle('unit', 'integration')).toBe('unit (integration)');
  expect(checkTitle('lint', null)).toBe('lint');
});
