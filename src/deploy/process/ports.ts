import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { sha256Hex } from '../../lib/digest.ts';
import { isPortFree, QUIET_PORTS } from '../../lib/port.ts';
import { DeployError } from '../deploy-error.ts';

/**
 * A free port of this machine for an instance, claimed by a file until `releasePort`. The same instance gets the same
 * port again. Another installation looks from elsewhere, though its instances have the same ids: a port is free until
 * the program listens, and two that look meanwhile must not both take it. @throws DeployError `deploy.no-port`
 */
export async function claimPort(directory: string, id: string): Promise<number> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const [own] = await claimsOf(directory, id);
  if (own !== undefined) return Number(own);
  const start = Number.parseInt(sha256Hex(`${directory}\n${id}`).slice(0, 8), 16);
  const { first, count } = QUIET_PORTS;
  for (let step = 0; step < count; step++) {
    const port = first + ((start + step) % count);
    const file = join(directory, String(port));
    try {
      await writeFile(file, id, { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw error;
    }
    if (await isPortFree(port)) return port;
    await rm(file, { force: true }); // a program that is not ours sits on it
  }
  throw new DeployError({
    code: 'deploy.no-port',
    what: `All ports from ${first} to ${first + count - 1} are taken.`,
    fix: 'Remove environments that nobody needs any more.',
  });
}

/** Gives back what the instance has claimed; the claims tell by themselves whose they are. */
export async function releasePort(directory: string, id: string): Promise<void> {
  for (const claim of await claimsOf(directory, id)) await rm(join(directory, claim), { force: true });
}

async function claimsOf(directory: string, id: string): Promise<string[]> {
  const claims: string[] = [];
  for (const port of await readdir(directory).catch(() => [])) {
    if ((await readFile(join(directory, port), 'utf8').catch(() => null)) === id) claims.push(port);
  }
  return claims;
}
