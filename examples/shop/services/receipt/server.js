// Prints receipts. It needs nothing but Node, so its image is made from a Dockerfile of five lines.
'use strict';

const { createServer } = require('node:http');

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://receipt');
  const cents = Number(searchParams.get('total'));
  if (pathname === '/healthz') response.end('well\n');
  else if (pathname === '/receipt' && Number.isInteger(cents))
    response.end(`Thank you. You paid ${(cents / 100).toFixed(2)}.\n`);
  else response.writeHead(404).end('not found\n');
});

server.listen(Number(process.env.PORT ?? 3000));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
