const LOW = 10;
const FULL = 50;

/** What to order, so that everything that runs low is full again. @param {Record<string, number>} stock */
export function reorder(stock) {
  return Object.entries(stock)
    .filter(([, count]) => count < LOW)
    .map(([item, count]) => [item, FULL - count]);
}
