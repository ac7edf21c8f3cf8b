import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { parseAutocannon } from './autocannon.ts';
import { parseK6 } from './k6.ts';
import { parseWrk } from './wrk.ts';

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/performance/${name}`, import.meta.url), 'utf8');

test('autocannon tells times, throughput and errors', async () => {
  expect(await parseAutocannon(fixture('autocannon.json'))).toEqual({
    mean: 9.85,
    p50: 5,
    p75: 10,
    p90: 25,
    'p97.5': 45,
    p99: 64,
    max: 172,
    rps: 484.67,
    errors: 0,
    requests: 1454,
  });
  expect(await parseAutocannon(fixture('autocannon-errors.json'))).toMatchObject({
    errors: (46 * 100) / 456,
    requests: 456,
  });
});

test('wrk tells times, throughput and errors', async () => {
  expect(await parseWrk(fixture('wrk-latency.txt'))).toEqual({
    mean: 15.41,
    p50: 7.64,
    p75: 22.94,
    p90: 39.72,
    p99: 64.01,
    max: 84.67,
    rps: 429.36,
    errors: 0,
    requests: 904,
  });
  const errors = await parseWrk(fixture('wrk-errors.txt'));
  expect(errors).toEqual({ mean: 19.51, max: 87.38, rps: 286.07, errors: (60 * 100) / 597, requests: 597 });
  const sockets = '  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx';
  const broken = fixture('wrk-errors.txt').replace('  Non-2xx', sockets).replace('19.51ms', '951.00us');
  expect(await parseWrk(broken)).toMatchObject({ mean: expect.closeTo(0.951, 6), errors: (66 * 100) / 603 });
});

test('both summaries of k6 tell times, throughput and errors', async () => {
  expect(await parseK6(fixture('k6-export.json'))).toEqual({
    mean: 8.367453605,
    p50: 5.8669554999999995,
    p75: 9.0469005,
    p90: 13.635667000000005,
    p95: 21.207956999999983,
    p99: 61.93813976999997,
    max: 75.836068,
    rps: 562.3365984278562,
    errors: 0,
    requests: 400,
  });
  expect(await parseK6(fixture('k6-handled.json'))).toEqual({
    mean: 6.5757234774999995,
    p50: 4.6578219999999995,
    p75: 7.78650625,
    p90: 12.371431500000002,
    p95: 15.482430499999998,
    p99: 28.68722671999995,
    max: 54.089344,
    rps: 708.1435389887271,
    errors: 0,
    requests: 400,
  });
  expect(await parseK6(fixture('k6-errors.json'))).toMatchObject({ errors: 7.75, requests: 400 });
});

test.each([
  ['autocannon', parseAutocannon, fixture('autocannon-refused.json'), 'has no request that was answered'],
  ['autocannon', parseAutocannon, '{}', 'is no result of autocannon'],
  ['autocannon', parseAutocannon, fixture('autocannon.json').slice(0, 900), 'is not JSON'],
  [
    'autocannon',
    parseAutocannon,
    fixture('autocannon.json').replace('"mean":9.85', '"mean":-1'),
    'is no result of autocannon',
  ],
  ['wrk', parseWrk, fixture('wrk-refused.txt'), 'is not what wrk prints'],
  ['wrk', parseWrk, fixture('wrk-latency.txt').slice(0, 300), 'is not what wrk prints'],
  ['wrk', parseWrk, `${'9'.repeat(200_000)} requests in 1s`, 'is too long for what wrk prints'],
  ['k6', parseK6, fixture('k6-refused.json'), 'has no request that was answered'],
  ['k6', parseK6, '{"metrics":{}}', 'is no summary of HTTP requests by k6'],
  ['k6', parseK6, '[]', 'is no summary of HTTP requests by k6'],
])('what %s has not measured is refused', async (_, parse, text, wrong) => {
  expect(await parse(text)).toEqual({ wrong: expect.stringContaining(wrong) });
});

test('no text makes a reader fail', async () => {
  const torn = fc
    .constantFrom('autocannon.json', 'wrk-latency.txt', 'wrk-errors.txt')
    .chain((name) => fc.tuple(fc.constant(fixture(name)), fc.nat(1000), fc.nat(20), fc.string({ maxLength: 5 })))
    .map(([text, at, length, put]) => text.slice(0, at) + put + text.slice(at + length));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json(), torn), async (text) => {
      for (const read of [parseAutocannon, parseK6, parseWrk]) {
        const found = await read(text);
        if (!('wrong' in found)) expect(Object.values(found).every((amount) => amount >= 0)).toBe(true);
      }
    }),
    cases(300),
  );
});
