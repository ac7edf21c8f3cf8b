import { createRequire } from 'node:module';

/** Where the tests of a consumer find Pact, as one that its image has. */
export const PACT_LIBRARY = createRequire(import.meta.url).resolve('@pact-foundation/pact-core');

/** A consumer's test as people write it: it asks Pact's stand-in for the price of tea, and the pact is what it asked. */
export const CONSUMER_TEST = `
const { makeConsumerPact } = require(process.env.PACT_LIBRARY);
const pact = makeConsumerPact('web', 'api', 4, 'error');
const interaction = pact.newInteraction('the price of tea');
interaction.given('tea is sold');
interaction.withRequest('GET', '/items/tea');
interaction.withStatus(200);
interaction.withResponseBody(
  JSON.stringify({ price: { 'pact:matcher:type': 'number', value: 4 } }),
  'application/json',
);
const port = pact.createMockServer('127.0.0.1');
fetch('http://127.0.0.1:' + port + '/items/tea')
  .then((answer) => answer.json())
  .then(({ price }) => {
    if (price !== 4 || !pact.mockServerMatchedSuccessfully(port)) process.exitCode = 1;
    pact.writePactFile('pacts');
    pact.cleanupMockServer(port);
  });
`;

/** A provider: `PRICE` is what tea costs, as JSON. It takes states where its tests are laid over it. */
export const PROVIDER = `
const http = require('node:http');
http
  .createServer((request, answer) => {
    if (request.url === '/states' && process.env.STATES !== undefined) answer.statusCode = Number(process.env.STATES);
    else if (request.url === '/items/tea') {
      if (process.env.ENDS !== undefined) process.exit(3);
      answer.setHeader('content-type', 'application/json');
      return answer.end(JSON.stringify({ price: JSON.parse(process.env.PRICE ?? '4') }));
    } else answer.statusCode = 404;
    answer.end();
  })
  .listen(Number(process.env.PORT), '127.0.0.1');
`;
