import fc from 'fast-check';
import { expect, test } from 'vitest';

import { TowpathError } from '../lib/error.ts';
import { describeFailure, statusOf } from './problem.ts';

test.each([
  ['release.unknown', 404],
  ['release.missing', 404],
  ['path.unknown-subject', 404],
  ['promotion.ended', 409],
  ['project.exists', 409],
  ['path.no-rollback', 409],
  ['release.ambiguous', 400],
  ['webhook.unsigned', 401],
  ['access.forbidden', 403],
  ['store.unreachable', 503],
  ['disk.full', 507],
  ['artifact.no-source', 422],
])('%s is answered with %i', (code, status) => {
  expect(statusOf(code)).toBe(status);
});

test('a code that nobody foresaw is the fault of the question, never a success', () => {
  expect(statusOf('toString')).toBe(422);
  fc.assert(
    fc.property(fc.string(), (code) => {
      expect(statusOf(code)).toBeGreaterThanOrEqual(400);
    }),
  );
});

test('an error keeps its words after a replay, when it is no longer an instance of anything', () => {
  const replayed = { code: 'promotion.ended', what: 'It has ended.', fix: 'Ask for a new one.' };
  expect(describeFailure(replayed, 'r')).toMatchObject({ ...replayed, status: 409, requestId: 'r' });
  expect(describeFailure(new TowpathError(replayed), 'r')).toEqual(describeFailure(replayed, 'r'));
});

test('what was not raised on purpose says nothing of itself', () => {
  for (const thrown of [new Error('token twp_x'), 'token twp_x', null, { statusCode: 500, message: 'token twp_x' }])
    expect(JSON.stringify(describeFailure(thrown, 'r'))).not.toContain('twp_x');
});

test.each([
  ['store.unreachable', 503, { code: '57P03', message: 'the database system is starting up' }],
  ['store.unreachable', 503, { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 10.0.0.1:5432' }],
  ['store.unreachable', 503, new Error('Connection terminated unexpectedly')],
  ['disk.full', 507, { code: '53100', message: 'could not extend file "base/5/16384"' }],
])('a database that cannot work now is %s (%i), and nothing of its words is told', (code, status, thrown) => {
  const told = describeFailure(thrown, 'r');
  expect(told).toMatchObject({ code, status });
  expect(told.detail).not.toMatch(/starting|10\.0|terminated|extend/);
});
