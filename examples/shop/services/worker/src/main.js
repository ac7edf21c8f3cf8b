// Counts the stock again and again. A worker has no port: it is healthy as long as it runs.
import ms from 'ms';

import { pricesOf } from './prices.js';
import { reorder } from './stock.js';

const every = ms(process.env.EVERY ?? '10s');
const prices = process.env.SHOP === undefined ? {} : await pricesOf(process.env.SHOP);
const stock = { tea: 12, coffee: 3, cup: 40 };

console.log(`shop: the worker counts every ${ms(every, { long: true })}`);
const timer = setInterval(() => {
  for (const [item, count] of reorder(stock)) {
    const worth = Object.hasOwn(prices, item) ? `, which sell for ${(count * prices[item]) / 100}` : '';
    console.log(`shop: order ${count} x ${item}${worth}`);
  }
}, every);

process.on('SIGTERM', () => {
  clearInterval(timer);
  process.exit(0);
});
