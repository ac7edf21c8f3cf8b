import { z } from 'zod';

/** A time in which nothing moves in by itself: once between two instants, or every week on some days. */
export type FreezeWindow =
  | { readonly kind: 'once'; readonly fromMs: number; readonly untilMs: number; readonly reason?: string }
  | {
      readonly kind: 'weekly';
      /** 0 is Sunday: the days on which the window opens. */
      readonly days: readonly number[];
      /** Minutes after midnight of the zone's own clock; a window that ends before it begins ends on the next day. */
      readonly fromMinute: number;
      readonly untilMinute: number;
      readonly zone: string;
      readonly reason?: string;
    };

const MINUTE = 60_000;

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

const Instant = z
  .string('an instant such as 2026-12-20T00:00Z')
  .regex(
    /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/,
    'an instant with its zone such as 2026-12-20T00:00Z or 2026-12-20T00:00+01:00',
  )
  .refine((text) => !Number.isNaN(Date.parse(text)), 'an instant that exists')
  .transform((text) => Date.parse(text));

const TimeOfDay = z
  .string('a time of day in quotes such as "16:00"')
  .regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'a time of day in quotes such as "16:00"')
  .transform((text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3)));

const Zone = z.string().refine(isZone, 'a time zone such as Europe/Amsterdam or UTC').default('UTC');

const Reason = z.string().max(200, 'at most 200 characters').optional().describe('Shown to those who wait');

export const FreezeWindow = z.union([
  z
    .strictObject({ from: Instant, until: Instant, reason: Reason })
    .refine(({ from, until }) => from < until, '`until` after `from`')
    .transform(({ from, until, reason }): FreezeWindow => {
      return { kind: 'once', fromMs: from, untilMs: until, ...(reason === undefined ? {} : { reason }) };
    }),
  z
    .strictObject({
      days: z.array(z.enum(DAYS)).min(1).describe('Days on which it opens'),
      from: TimeOfDay.default(0),
      until: TimeOfDay.default(1440).describe('Before `from`: on the next day'),
      zone: Zone.describe('Whose clock counts (UTC)'),
      reason: Reason,
    })
    .refine(({ from, until }) => from !== until, '`until` other than `from`')
    .transform(({ days, from, until, zone, reason }): FreezeWindow => ({
      kind: 'weekly',
      days: DAYS.flatMap((day, index) => (days.includes(day) ? [index] : [])),
      fromMinute: from,
      untilMinute: until,
      zone,
      ...(reason === undefined ? {} : { reason }),
    })),
]);

/**
 * @returns when the windows that are open now will have closed, or null when none is open; windows that touch or
 * overlap count as one. Exact to the minute, also over a change of the clocks. Ends within a year even where windows
 * never leave a gap.
 */
export function frozenUntil(windows: readonly FreezeWindow[], nowMs: number): number | null {
  const horizon = nowMs + 366 * 86_400_000;
  let untilMs: number | null = null;
  for (let at = nowMs; at < horizon; at = untilMs ?? horizon) {
    const ends = windows.map((window) => openUntil(window, at, horizon)).filter((end) => end !== null);
    if (ends.length === 0) break;
    untilMs = Math.max(...ends);
  }
  return untilMs;
}

function openUntil(window: FreezeWindow, nowMs: number, horizonMs: number): number | null {
  if (window.kind === 'once') return window.fromMs <= nowMs && nowMs < window.untilMs ? window.untilMs : null;
  let end = nowMs;
  while (end < horizonMs && isOpen(window, end)) end = nextBoundary(window, end);
  return end === nowMs ? null : end;
}

/** The window's own end or midnight, whichever comes first after `atMs`; put right where the clocks change in between. */
function nextBoundary(window: FreezeWindow & { kind: 'weekly' }, atMs: number): number {
  const { minutes } = wallClock(atMs, window.zone);
  const target = minutes < window.untilMinute ? window.untilMinute : 1440;
  const end = (Math.floor(atMs / MINUTE) + target - minutes) * MINUTE;
  const late = ((wallClock(end, window.zone).minutes - target + 2160) % 1440) - 720;
  return end - late * MINUTE > atMs ? end - late * MINUTE : end;
}

function isOpen(window: FreezeWindow & { kind: 'weekly' }, atMs: number): boolean {
  const { day, minutes } = wallClock(atMs, window.zone);
  const { days, fromMinute, untilMinute } = window;
  if (fromMinute < untilMinute) return days.includes(day) && fromMinute <= minutes && minutes < untilMinute;
  return (days.includes(day) && minutes >= fromMinute) || (days.includes((day + 6) % 7) && minutes < untilMinute);
}

function wallClock(atMs: number, zone: string): { day: number; minutes: number } {
  const parts = clockOf(zone).formatToParts(atMs);
  const part = (type: string): string => parts.find((part) => part.type === type)?.value ?? '';
  const weekday = part('weekday').toLowerCase();
  return { day: DAYS.findIndex((day) => day === weekday), minutes: Number(part('hour')) * 60 + Number(part('minute')) };
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(timeZone: string): Intl.DateTimeFormat {
  const known = clocks.get(timeZone);
  if (known !== undefined) return known;
  const form = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
  const clock = new Intl.DateTimeFormat('en-US', { timeZone, ...form });
  clocks.set(timeZone, clock);
  return clock;
}

function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: zone }) instanceof Intl.DateTimeFormat;
  } catch {
    return false;
  }
}
