import { randomBytes } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * A new identifier such as `rel_01k9xq3m8z4t6v2b5c7d9e1f3g`: ten characters of time (Crockford base 32, so ids sort by
 * creation), then 80 random bits. Valid as a DNS label, a file name and a part of a URL.
 */
export function newId(prefix: string, nowMs: number = Date.now()): string {
  let time = '';
  for (let rest = nowMs, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) time = ALPHABET.charAt(rest % 32) + time;
  const chance = Array.from(randomBytes(16), (byte) => ALPHABET.charAt(byte % 32)).join('');
  return `${prefix}_${time}${chance}`;
}
