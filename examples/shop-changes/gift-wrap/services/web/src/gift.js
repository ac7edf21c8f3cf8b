import { readFileSync } from 'node:fs';

import ini from 'ini';

const prices = ini.parse(readFileSync(new URL('gift.ini', import.meta.url), 'utf8'));

/** What it costs to wrap so many things. @param {number} count @returns cents */
export function wrapping(count) {
  if (count < 1) return 0;
  if (count <= 5) return Number(prices.small);
  const boxes = Math.ceil(count / 20);
  return boxes * Number(prices.large);
}
