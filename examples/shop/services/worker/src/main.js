// Counts the stock again and again. A worker has no port: it is healthy as long as it runs.
import ms from 'ms';

import { reorder } from './stock.js';

const every = ms(process.env.EVERY ?? '10s');
const stock = { tea: 12, coffee: 3, cup: 40 };

console.log(`shop: the worker counts every ${ms(every, { long: true })}`);
const timer = setInterval(() => {
  for (const [item, count] of reorder(stock)) console.log(`shop: order ${count} x ${item}`);
}, every);

process.on('SIGTERM', () => {
  clearInterval(timer);
  process.exit(0);
});
