import fc from 'fast-check';
import { expect, test } from 'vitest';

import { FreezeWindow, frozenUntil } from './freeze-window.ts';

const at = (text: string): number => Date.parse(text);
const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString().slice(0, 16));

test('a window between two instants freezes in between', () => {
  const xmas = FreezeWindow.parse({ from: '2026-12-20T00:00Z', until: '2027-01-02T00:00Z', reason: 'holidays' });
  expect(iso(frozenUntil([xmas], at('2026-12-24T12:00Z')))).toBe('2027-01-02T00:00');
  expect(frozenUntil([xmas], at('2027-01-02T00:00Z'))).toBeNull();
  expect(frozenUntil([], at('2026-12-24T12:00Z'))).toBeNull();
});

test('a weekly window that ends before it begins ends on the next day', () => {
  const nights = FreezeWindow.parse({ days: ['fri'], from: '16:00', until: '08:00' });
  expect(iso(frozenUntil([nights], at('2026-11-20T17:30Z')))).toBe('2026-11-21T08:00'); // a Friday
  expect(iso(frozenUntil([nights], at('2026-11-21T07:59Z')))).toBe('2026-11-21T08:00');
  expect(frozenUntil([nights], at('2026-11-21T08:00Z'))).toBeNull();
  expect(frozenUntil([nights], at('2026-11-20T15:59Z'))).toBeNull();
});

test('windows that touch count as one', () => {
  const weekend = FreezeWindow.parse({ days: ['sat', 'sun'] });
  const friday = FreezeWindow.parse({ days: ['fri'], from: '16:00' });
  expect(iso(frozenUntil([weekend, friday], at('2026-11-20T18:00Z')))).toBe('2026-11-23T00:00');
});

test('a window follows the clock of its zone over a change of the clocks', () => {
  const night = FreezeWindow.parse({ days: ['sat'], from: '22:00', until: '06:00', zone: 'Europe/Amsterdam' });
  expect(iso(frozenUntil([night], at('2026-10-24T21:00Z')))).toBe('2026-10-25T05:00'); // summer ends: 06:00 is +01:00
  expect(iso(frozenUntil([night], at('2026-03-28T22:00Z')))).toBe('2026-03-29T04:00'); // summer begins: 06:00 is +02:00
});

test('a freeze that never ends is told as a year', () => {
  const always = FreezeWindow.parse({ days: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] });
  const now = at('2026-11-20T18:00Z');
  expect(frozenUntil([always], now)).toBeGreaterThanOrEqual(now + 366 * 86_400_000);
});

test('when a freeze ends, nothing is frozen; a minute before, all is', () => {
  const day = fc.constantFrom('sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat');
  const time = fc
    .tuple(fc.nat(23), fc.nat(59))
    .map(([hour, minute]) => `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`);
  const zone = fc.constantFrom('UTC', 'Europe/Amsterdam', 'America/St_Johns', 'Australia/Lord_Howe');
  const window = fc
    .record({ days: fc.uniqueArray(day, { minLength: 1, maxLength: 5 }), from: time, until: time, zone })
    .filter(({ from, until }) => from !== until);
  fc.assert(
    fc.property(window, fc.integer({ min: at('2026-01-01T00:00Z'), max: at('2027-01-01T00:00Z') }), (fields, now) => {
      const windows = [FreezeWindow.parse(fields)];
      const until = frozenUntil(windows, now);
      if (until === null) return;
      expect(until).toBeGreaterThan(now);
      expect(frozenUntil(windows, until)).toBeNull();
      expect(frozenUntil(windows, until - 60_000)).toBe(until);
    }),
  );
});

test.each([
  { from: '2026-12-20', until: '2026-12-21' },
  { from: '2026-12-21T00:00Z', until: '2026-12-20T00:00Z' },
  { days: [], from: '10:00' },
  { days: ['fri'], from: '25:00' },
  { days: ['fri'], zone: 'Mars/Olympus' },
])('a window that cannot be is refused: %j', (window) => {
  expect(FreezeWindow.safeParse(window).success).toBe(false);
});
