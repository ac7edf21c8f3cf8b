import assert from 'node:assert';
import { once } from 'node:events';
import { test } from 'node:test';

import { createShop } from '../src/shop.js';

test('the shop answers, and shows no markup that a buyer brings', async (t) => {
  const shop = createShop({ currency: 'USD', banner: '<b>new</b>' }).listen(0, '127.0.0.1');
  t.after(() => shop.close());
  await once(shop, 'listening');
  const url = `http://127.0.0.1:${shop.address().port}`;
  const ask = async (path) => {
    const response = await fetch(url + path);
    return { status: response.status, text: await response.text() };
  };
  assert.equal((await ask('/healthz')).status, 200);
  assert.match((await ask('/')).text, /&lt;b&gt;new&lt;\/b&gt;.*coffee: \$6\.50/s);
  assert.match((await ask('/checkout?item=tea&count=2')).text, /Total: \$8\.00/);
  assert.deepEqual([(await ask('/checkout?item=<i>')).status, (await ask('/nowhere')).status], [400, 404]);
});
