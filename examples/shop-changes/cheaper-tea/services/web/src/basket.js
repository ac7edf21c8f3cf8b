/** Prices in cents. */
export const catalogue = { tea: 400, coffee: 650, cup: 1200 };

/** Ten of one kind, and the tenth is free. @param {{ item: string, count: number }[]} basket @returns cents */
export function total(basket) {
  return basket.reduce((sum, { item, count }) => sum + priceOf(item) * (count - Math.floor(count / 10)), 0);
}

function priceOf(item) {
  if (!Object.hasOwn(catalogue, item)) throw new RangeError('We do not sell that');
  return catalogue[item];
}
