// A git server that answers every listing of refs from memory: `node ref-server-process.js REFS` prints its origin as its
// first line and ends with its input. It has a process of its own, so that what is measured is the one who asks.
import { createServer } from 'node:http';

const refs = Number(process.argv[2]);
/** @param {string} line */
const packet = (line) => (line.length + 4).toString(16).padStart(4, '0') + line;
const oid = 'a'.repeat(40);
const lines = Array.from({ length: refs }, (_, i) => packet(`${oid} refs/heads/b${i}\n`)).join('');
const listing = `${packet(`${oid} HEAD symref-target:refs/heads/b0\n`)}${lines}0000`;
const capabilities = ['version 2\n', 'ls-refs=unborn\n', 'fetch=filter\n', 'object-format=sha1\n'].map(packet).join('');
const server = createServer((request, response) => {
  const isListing = request.method === 'POST';
  request.resume().on('end', () => {
    response.setHeader('content-type', `application/x-git-upload-pack-${isListing ? 'result' : 'advertisement'}`);
    response.end(isListing ? listing : `${packet('# service=git-upload-pack\n')}0000${capabilities}0000`);
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(`http://127.0.0.1:${address.port}`);
});
process.stdin.resume().on('end', () => process.exit());
