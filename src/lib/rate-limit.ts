/** Headers of an answer, names in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

const DAY_MS = 86_400_000;

/**
 * How long a server asks us to stay away, as its headers say it: `Retry-After` (seconds or a date, RFC 9110), else the time at
 * which its rate limit begins anew, which some give as an instant and some as seconds from now. At most a day.
 * @returns undefined when it does not say
 */
export function retryAfterMs(headers: AnswerHeaders, now: number): number | undefined {
  const asked = textOf(headers, 'retry-after');
  const limit = ['x-ratelimit-reset', 'ratelimit-reset'].map((name) => textOf(headers, name)).find(Boolean);
  const interval = textOf(headers, 'x-ratelimit-interval-seconds');
  const ms = [asked === undefined ? undefined : afterOf(asked, now), resetOf(limit, now), secondsOf(interval)].find(
    (value) => value !== undefined,
  );
  return ms === undefined ? undefined : Math.min(Math.max(ms, 1000), DAY_MS);
}

/** Whether an answer refuses because too much was asked: a 403 says so only by its headers. */
export function isRateLimited(status: number, headers: AnswerHeaders): boolean {
  if (status === 429) return true;
  if (status === 503) return headers['retry-after'] !== undefined;
  return status === 403 && (headers['retry-after'] !== undefined || textOf(headers, 'x-ratelimit-remaining') === '0');
}

function afterOf(text: string, now: number): number | undefined {
  const at = /^\d+$/.test(text) ? Number.NaN : Date.parse(text);
  return Number.isNaN(at) ? secondsOf(text) : at - now;
}

/** Seconds since 1970 where there are so many, else from now. */
function resetOf(text: string | undefined, now: number): number | undefined {
  const ms = secondsOf(text);
  return ms !== undefined && ms > 1e12 ? ms - now : ms;
}

function secondsOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,11}(?:\.\d+)?$/.test(text) ? Number(text) * 1000 : undefined;
}

function textOf(headers: AnswerHeaders, name: string): string | undefined {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value)?.trim();
}
