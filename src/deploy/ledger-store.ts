import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { fenced } from './deploy-error.ts';
import type { Target } from './driver.ts';
import { targetKey } from './rollout.ts';

/** What this machine remembers of a target: the highest fencing token seen, and which instances are meant to serve. */
export interface Ledger {
  /** @throws DeployError `deploy.fenced` when a higher token was seen */
  claim(target: Target, token: bigint): Promise<void>;
  serving(target: Target): Promise<Readonly<Record<string, readonly string[]>>>;
  /** Says which instances of a service serve; null when it is gone. */
  serve(target: Target, service: string, ids: readonly string[] | null): Promise<void>;
  /** Forgets a target that is gone, unless a higher token was seen meanwhile. */
  forget(target: Target, token: bigint): Promise<void>;
}

const Serving = z.record(z.string(), z.array(z.string()));
const TOKEN = /^token-(\d{30})$/;

/**
 * A ledger in files, for servers that share a machine. A token is a file that is made before anything is done under
 * it; whoever then sees a higher one stops. So of two at most one goes on, without a lock that a kill would leave.
 */
export function fileLedger(directory: string): Ledger {
  const folderOf = (target: Target): string => join(directory, targetKey(target));
  const serving = async (target: Target): Promise<z.infer<typeof Serving>> => {
    const text = await readFile(join(folderOf(target), 'serving.json'), 'utf8').catch(ignoreMissing);
    return text === null ? {} : Serving.parse(JSON.parse(text) as unknown);
  };
  return {
    serving,
    claim: async (target, token) => {
      const folder = folderOf(target);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const highest = highestOf(await readdir(folder));
      if (highest > token) throw fenced(`"${target.environment}" of ${target.project}`, token, highest);
      if (highest < token) await writeFile(join(folder, `token-${String(token).padStart(30, '0')}`), '');
      const names = await readdir(folder);
      const now = highestOf(names);
      if (now > token) throw fenced(`"${target.environment}" of ${target.project}`, token, now);
      for (const name of names) {
        if (BigInt(TOKEN.exec(name)?.[1] ?? token) < token) await rm(join(folder, name), { force: true });
      }
    },
    forget: async (target, token) => {
      const highest = highestOf(await readdir(folderOf(target)).catch(() => []));
      if (highest <= token) await rm(folderOf(target), { recursive: true, force: true });
    },
    serve: async (target, service, ids) => {
      const { [service]: _replaced, ...others } = await serving(target);
      const path = join(folderOf(target), 'serving.json');
      const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
      await mkdir(folderOf(target), { recursive: true, mode: 0o700 });
      await writeFile(draft, JSON.stringify(ids === null ? others : { ...others, [service]: ids }));
      await rename(draft, path);
    },
  };
}

function highestOf(names: readonly string[]): bigint {
  return names.reduce((highest, name) => {
    const token = BigInt(TOKEN.exec(name)?.[1] ?? 0);
    return token > highest ? token : highest;
  }, 0n);
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}
