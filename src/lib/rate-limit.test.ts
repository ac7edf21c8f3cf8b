import { expect, test } from 'vitest';

import { isRateLimited, retryAfterMs } from './rate-limit.ts';

const now = Date.parse('2026-11-29T10:00:00Z');
const seconds = now / 1000;

test.each([
  ['seconds', { 'retry-after': '30' }, 30_000],
  ['a date', { 'retry-after': 'Sun, 29 Nov 2026 10:02:00 GMT' }, 120_000],
  ['a date that is past', { 'retry-after': 'Sun, 29 Nov 2026 09:00:00 GMT' }, 1000],
  ['the end of the window as GitHub gives it', { 'x-ratelimit-reset': String(seconds + 90) }, 90_000],
  ['the end of the window as GitLab gives it', { 'ratelimit-reset': String(seconds + 60) }, 60_000],
  ['seconds until the window ends', { 'ratelimit-reset': '45' }, 45_000],
  ['how often tokens are filled up, as Bitbucket gives it', { 'x-ratelimit-interval-seconds': '5' }, 5000],
  ['both, of which the first counts', { 'retry-after': '7', 'x-ratelimit-reset': String(seconds + 90) }, 7000],
  ['more than a day', { 'retry-after': '10000000' }, 86_400_000],
  ['nonsense', { 'retry-after': 'soon', 'x-ratelimit-reset': '-1' }, undefined],
  ['nothing', {}, undefined],
])('a server says how long to stay away: %s', (_, headers, wanted) => {
  expect(retryAfterMs(headers, now)).toBe(wanted);
});

test.each([
  [429, {}, true],
  [403, {}, false],
  [403, { 'x-ratelimit-remaining': '0' }, true],
  [403, { 'x-ratelimit-remaining': '12' }, false],
  [403, { 'retry-after': '60' }, true],
  [503, {}, false],
  [503, { 'retry-after': '60' }, true],
  [401, { 'x-ratelimit-remaining': '0' }, false],
])('%d with %j is about how often we ask: %s', (status, headers, wanted) => {
  expect(isRateLimited(status, headers)).toBe(wanted);
});
