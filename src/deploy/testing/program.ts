/**
 * The service that the conformance kit deploys: a small HTTP server whose image says how it behaves. `version` tells
 * images apart; `sick` answers its health path badly; `crash` ends at once; `idle` is a worker without a port.
 */
export type Behaviour = 'well' | 'sick' | 'crash' | 'idle';

/** The files of its image. */
export function programFiles(version: string, behaviour: Behaviour): Record<string, string> {
  return { '/app/server.js': source, '/app/version': version, '/app/behaviour': behaviour };
}

export const PROGRAM_ARGV = ['node', 'server.js'];
export const PROGRAM_WORKDIR = '/app';

const source = `
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const version = fs.readFileSync('version', 'utf8');
const behaviour = fs.readFileSync('behaviour', 'utf8');
console.log('version ' + version + ' starts');
if (behaviour === 'crash') { console.error('cannot go on'); process.exit(3); }
if (behaviour === 'idle') { setInterval(() => undefined, 1000); process.on('SIGTERM', () => process.exit(0)); }
else {
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://service');
    if (url.pathname === '/healthz') { response.statusCode = behaviour === 'sick' ? 500 : 200; response.end(); return; }
    if (url.pathname === '/secret') {
      const file = process.env.TOWPATH_SECRETS + '/' + url.searchParams.get('name');
      response.end(createHash('sha256').update(fs.readFileSync(file)).digest('hex'));
      return;
    }
    if (url.pathname === '/env') { response.end(JSON.stringify(process.env[url.searchParams.get('name')] ?? null)); return; }
    if (url.pathname === '/who') {
      const user = process.getuid();
      response.end(JSON.stringify({ user, pid: process.pid, hostname: require('node:os').hostname() }));
      return;
    }
    if (url.pathname === '/print') {
      const file = url.searchParams.get('secret');
      const said = file === null ? url.searchParams.get('text') : fs.readFileSync(process.env.TOWPATH_SECRETS + '/' + file, 'utf8');
      (url.searchParams.has('error') ? process.stderr : process.stdout).write(said + '\\n', () => response.end());
      return;
    }
    if (url.pathname === '/echo') { request.pipe(response); return; }
    if (url.pathname === '/slow') { setTimeout(() => response.end(version), Number(url.searchParams.get('ms'))); return; }
    response.end(version);
  });
  server.on('upgrade', (request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n');
    socket.on('data', (bytes) => socket.write(version + ':' + bytes));
    socket.on('error', () => undefined);
  });
  server.listen(Number(process.env.PORT));
  process.on('SIGTERM', () => server.close(() => process.exit(0)));
}
`;
