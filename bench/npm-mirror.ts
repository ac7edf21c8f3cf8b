import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

export interface NpmMirror {
  /** Ends with a slash. */
  readonly url: string;
  stop(): void;
}

/** A caching mirror of an npm registry on the loopback: every contender fetches from the same place, at the same speed. */
export async function startNpmMirror(upstream: string, directory: string): Promise<NpmMirror> {
  await mkdir(directory, { recursive: true });
  const memory = new Map<string, Promise<Buffer>>();
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    const known = memory.get(path) ?? load(upstream, directory, path);
    memory.set(path, known);
    known.then(
      (bytes) => response.end(bytes),
      () => {
        memory.delete(path);
        response.writeHead(404).end();
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function load(upstream: string, directory: string, path: string): Promise<Buffer> {
  const file = join(directory, createHash('sha256').update(path).digest('hex'));
  const kept = await readFile(file).catch(() => null);
  if (kept !== null) return kept;
  const response = await fetch(`${upstream}${path.slice(1)}`);
  if (!response.ok) throw new Error(`the registry answered ${response.status}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  await writeFile(file, bytes);
  return bytes;
}
