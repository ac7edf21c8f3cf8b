import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { sha256Hex } from '../../lib/digest.ts';
import { DeployError } from '../deploy-error.ts';

/** Below the ports that systems give to outgoing connections, so that none of those ever sits on one of ours. */
const FIRST = 20_000;
const COUNT = 10_000;

/**
 * A free port of this machine for an instance, claimed by a file until `releasePort`. The same instance gets the same
 * port again. @throws DeployError `deploy.no-port`
 */
export async function claimPort(directory: string, id: string): Promise<number> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const start = Number.parseInt(sha256Hex(id).slice(0, 8), 16);
  for (let step = 0; step < COUNT; step++) {
    const port = FIRST + ((start + step) % COUNT);
    const file = join(directory, String(port));
    try {
      await writeFile(file, id, { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if ((await readFile(file, 'utf8').catch(() => '')) === id) return port;
      continue;
    }
    if (await isFree(port)) return port;
    await rm(file, { force: true }); // a program that is not ours sits on it
  }
  throw new DeployError({
    code: 'deploy.no-port',
    what: `All ports from ${FIRST} to ${FIRST + COUNT - 1} are taken.`,
    fix: 'Remove environments that nobody needs any more.',
  });
}

/** Gives back what the instance has claimed; the claims tell by themselves whose they are. */
export async function releasePort(directory: string, id: string): Promise<void> {
  for (const port of await readdir(directory).catch(() => [])) {
    const file = join(directory, port);
    if ((await readFile(file, 'utf8').catch(() => null)) === id) await rm(file, { force: true });
  }
}

/** Free on all addresses: programs listen on one of them, or on all. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
