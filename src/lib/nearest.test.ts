import { expect, test } from 'vitest';

import { nearestWord } from './nearest.ts';

test('a slip of the hand finds the word that was meant', () => {
  expect(nearestWord('biuld', ['build', 'path', 'port'])).toBe('build');
  expect(nearestWord('Prod', ['dev', 'prod'])).toBe('prod');
});

test('a word that is the beginning of one alone finds it', () => {
  expect(nearestWord('deploy', ['build', 'release', 'deployment'])).toBe('deployment');
  expect(nearestWord('environ', ['environment-a', 'environment-b'])).toBeUndefined();
});

test('a word that is like none of the known ones has no nearest', () => {
  expect(nearestWord('kubernetes', ['docker', 'process'])).toBeUndefined();
  expect(nearestWord('anything', [])).toBeUndefined();
});
