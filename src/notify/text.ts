import { sha256Hex } from '../lib/digest.ts';

/** One line of at most `most` characters (UTF-16 units, as the hosts count at their strictest): what is cut ends in `…`. */
export function lineWithin(text: string, most: number): string {
  const line = oneLine(text);
  return line.length <= most ? line : `${begin(line, most - 1)}…`;
}

/** A name that a host takes: as it is where it fits, else its beginning and a hash, so that two names never share one. */
export function nameWithin(name: string, most: number): string {
  const line = oneLine(name);
  return line === name && line.length <= most ? name : `${begin(line, most - 9)}-${sha256Hex(name).slice(0, 8)}`;
}

/** A URL that is too long for a host is left out: half of one leads nowhere. */
export function urlWithin(url: string | null, most: number): string | undefined {
  return url === null || url.length > most ? undefined : url;
}

function oneLine(text: string): string {
  return text.replace(/[\p{C}\p{Z}]+/gu, ' ').trim();
}

/** Never half of a surrogate pair. */
function begin(text: string, most: number): string {
  const cut = text.slice(0, most);
  return /[\uD800-\uDBFF]$/.test(cut) ? cut.slice(0, -1) : cut;
}
