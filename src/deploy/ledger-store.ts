import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { writeDurably } from '../lib/durable-file.ts';
import { hasCode } from '../lib/error.ts';
import { DeployError, fenced } from './deploy-error.ts';
import type { Target } from './driver.ts';
import { targetKey } from './rollout.ts';

/** What this machine remembers of a target: the highest fencing token seen, which instances are meant to serve, what is beside. */
export interface Ledger {
  /** @throws DeployError `deploy.fenced` when a higher token was seen */
  claim(target: Target, token: bigint): Promise<void>;
  /** @throws DeployError `deploy.ledger-broken` when nobody can tell any more */
  serving(target: Target): Promise<Serving>;
  /** Says which instances of a service serve; null when it is gone. */
  serve(target: Target, service: string, ids: readonly string[] | null): Promise<void>;
  /** What the last deployment left beside the release; null where none did, or nobody can tell any more. */
  left(target: Target): Promise<Left | null>;
  /** Says what is left beside the release; null when another driver has the target. */
  leave(target: Target, left: Left | null): Promise<void>;
  /** Forgets a target that is gone, unless a higher token was seen meanwhile. */
  forget(target: Target, token: bigint): Promise<void>;
}

/** Service -> the ids of its instances. */
export type Serving = Readonly<Record<string, readonly string[]>>;

/** What runs beside the release, by its name there. */
const Left = z.record(
  z.string(),
  z.object({
    /** By these a container is known again: one that somebody made anew has another. */
    settings: z.string(),
    image: z.string(),
    replicas: z.number(),
    /** True when it is well once it ended with 0. */
    mayEnd: z.boolean(),
  }),
);
export type Left = Readonly<z.infer<typeof Left>>;

const Serving = z.record(z.string(), z.array(z.string()));
const TOKEN = /^token-(\d{30})$/;

/**
 * A ledger in files, for servers that share a machine. A token is a file that is made before anything is done under
 * it; whoever then sees a higher one stops. So of two at most one goes on, without a lock that a kill would leave.
 */
export function fileLedger(directory: string): Ledger {
  const folderOf = (target: Target): string => join(directory, targetKey(target));
  const besideOf = (target: Target): string => join(folderOf(target), 'beside.json');
  const serving = async (target: Target): Promise<Serving> => {
    const path = join(folderOf(target), 'serving.json');
    const text = await readFile(path, 'utf8').catch(ignoreMissing);
    if (text === null) return {};
    try {
      return Serving.parse(JSON.parse(text));
    } catch (error) {
      throw broken(target, path, error);
    }
  };
  const ledger: Ledger = {
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
      const { [service]: _replaced, ...others } = await servingOrNone(ledger, target);
      const path = join(folderOf(target), 'serving.json');
      await mkdir(folderOf(target), { recursive: true, mode: 0o700 });
      await writeDurably(path, JSON.stringify(ids === null ? others : { ...others, [service]: ids }));
    },
    left: async (target) => {
      const text = await readFile(besideOf(target), 'utf8').catch(ignoreMissing);
      try {
        return text === null ? null : Left.parse(JSON.parse(text));
      } catch {
        return null; // the next deployment writes it anew
      }
    },
    leave: async (target, left) => {
      if (left === null) return rm(besideOf(target), { force: true });
      await mkdir(folderOf(target), { recursive: true, mode: 0o700 });
      await writeDurably(besideOf(target), JSON.stringify(left));
    },
  };
  return ledger;
}

/**
 * For who goes on without the ledger: where it is broken, nobody is known to serve, and the next deployment says anew
 * who does.
 */
export async function servingOrNone(ledger: Ledger, target: Target): Promise<Serving> {
  try {
    return await ledger.serving(target);
  } catch (error) {
    if (hasCode(error, 'deploy.ledger-broken')) return {};
    throw error;
  }
}

function highestOf(names: readonly string[]): bigint {
  return names.reduce((highest, name) => {
    const token = BigInt(TOKEN.exec(name)?.[1] ?? 0);
    return token > highest ? token : highest;
  }, 0n);
}

function broken({ project, environment }: Target, path: string, cause: unknown): DeployError {
  return new DeployError(
    {
      code: 'deploy.ledger-broken',
      what: `Which instances serve in "${environment}" of ${project} cannot be read: ${path} is broken.`,
      fix: `Promote into "${environment}" once more: each deployment writes the file anew.`,
    },
    { cause },
  );
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}
