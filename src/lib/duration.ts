const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** `30s`, `15m`, `1h`, `14d`; one whole number and one unit. */
export const DURATION = /^(\d{1,9})(ms|s|m|h|d|w)$/;

/** @returns milliseconds, or undefined for what is not a duration */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? [];
  return count === undefined || !isUnit(unit) ? undefined : Number(count) * UNITS[unit];
}

/** The same span in the largest unit that says it exactly: 5400000 is `90m`. */
export function formatDuration(ms: number): string {
  const unit = (['w', 'd', 'h', 'm', 's'] as const).find((unit) => ms !== 0 && ms % UNITS[unit] === 0) ?? 'ms';
  return `${ms / UNITS[unit]}${unit}`;
}

function isUnit(text: string | undefined): text is keyof typeof UNITS {
  return text !== undefined && Object.hasOwn(UNITS, text);
}
