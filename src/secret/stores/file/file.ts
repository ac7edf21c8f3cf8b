import { open, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';

import { SecretError, type SecretStore } from '../../secret.ts';

const MAX_BYTES = 1024 * 1024;

export interface FilePlaces {
  /** Folders below which files may be read. */
  readonly below: readonly string[];
  /** A folder below which none is given, whatever leads there. */
  readonly except: string;
}

/** `file:/absolute/path`: the content of a file on the server's machine, without one newline at its end. */
export function fileSecrets({ below, except }: FilePlaces): SecretStore {
  return {
    scheme: 'file',
    read: async (path) => {
      if (!path.startsWith('/')) throw unreadable(path, 'it is not an absolute path');
      try {
        const real = await realpath(path);
        const allowed = await Promise.all(below.map((folder) => holds(folder, real)));
        if (!allowed.includes(true) || (await holds(except, real))) throw notGiven(path);
        return await readSmall(real);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT' || code === 'ENOTDIR') return null;
        throw error instanceof SecretError ? error : unreadable(path, code ?? 'unknown reason');
      }
    },
  };
}

/** @param path without symbolic links in it */
async function holds(folder: string, path: string): Promise<boolean> {
  const real = await realpath(folder).catch(() => resolve(folder));
  return path === real || path.startsWith(real.endsWith('/') ? real : `${real}/`);
}

async function readSmall(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw unreadable(path, 'it is not a file');
    if (stat.size > MAX_BYTES) throw unreadable(path, 'it is larger than 1 MiB');
    return (await file.readFile('utf8')).replace(/\r?\n$/, '');
  } finally {
    await file.close();
  }
}

function unreadable(path: string, why: string): SecretError {
  return new SecretError({
    code: 'secret.unreadable',
    what: `The secret "file:${path}" cannot be read: ${why}.`,
    fix: 'Give the server the right to read the file, or correct the path.',
  });
}

function notGiven(path: string): SecretError {
  return new SecretError({
    code: 'secret.not-given',
    what: `The file "${path}" is none from which this server gives secrets.`,
    fix: 'Keep secrets of services outside of the data directory, in a folder that TOWPATH_SECRET_FILES names where it is set.',
  });
}
