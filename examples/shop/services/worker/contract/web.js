// What the worker expects of web: played to the worker here, and written down for whoever releases web. A library of Pact
// (`@pact-foundation/pact`) does the same in fewer lines; this one needs nothing but Node.
import assert from 'node:assert';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';

import { pricesOf } from '../src/prices.js';

const { request, response } = {
  request: { method: 'GET', path: '/prices' },
  response: {
    status: 200,
    headers: { 'Content-Type': 'application/json' },
    body: { coffee: 650 },
    matchingRules: { body: { '$.coffee': { matchers: [{ match: 'integer' }] } } },
  },
};

const web = createServer((asked, answer) => {
  assert.deepEqual([asked.method, asked.url], [request.method, request.path]);
  answer.writeHead(response.status, response.headers).end(JSON.stringify(response.body));
}).listen(0, '127.0.0.1');
await once(web, 'listening');
assert.equal((await pricesOf(`http://127.0.0.1:${web.address().port}`)).coffee, 650);
web.close();

const pact = {
  consumer: { name: 'worker' },
  provider: { name: 'web' },
  interactions: [{ description: 'the price of coffee in cents', request, response }],
  metadata: { pactSpecification: { version: '3.0.0' } },
};
await mkdir('pacts', { recursive: true });
await writeFile('pacts/worker-web.json', JSON.stringify(pact, null, 2));
