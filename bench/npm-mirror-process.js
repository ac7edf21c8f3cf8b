// A caching mirror of an npm registry on the loopback: `node npm-mirror-process.js UPSTREAM DIRECTORY` prints its address
// as its first line and ends with its input. It has a process of its own, so that no contender pays for it.
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

const [upstream = '', directory = ''] = process.argv.slice(2);
await mkdir(directory, { recursive: true });

/** @type {Map<string, Promise<Buffer>>} */
const memory = new Map();
const server = createServer((request, response) => {
  const path = request.url ?? '/';
  const known = memory.get(path) ?? load(path);
  memory.set(path, known);
  known.then(
    (bytes) => response.end(bytes),
    () => {
      memory.delete(path);
      response.writeHead(404).end();
    },
  );
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(`http://127.0.0.1:${address.port}/`);
});
process.stdin.resume().on('end', () => process.exit());

/** @param {string} path */
async function load(path) {
  const file = join(directory, createHash('sha256').update(path).digest('hex'));
  const kept = await readFile(file).catch(() => null);
  if (kept !== null) return kept;
  const response = await fetch(`${upstream}${path.slice(1)}`);
  if (!response.ok) throw new Error(`the registry answered ${response.status}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  await writeFile(file, bytes);
  return bytes;
}
