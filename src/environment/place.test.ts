import { expect, test } from 'vitest';

import { environmentOf, placeName } from './place.ts';

test('a place says its environment and its repository, that of the home repository the environment alone', () => {
  expect([placeName('qa', null), placeName('qa', 'api')]).toEqual(['qa', 'qa.api']);
  expect(['qa', 'qa.api'].map(environmentOf)).toEqual(['qa', 'qa']);
});
