import { open } from 'node:fs/promises';

import { SecretError, type SecretStore } from '../../secret.ts';

const MAX_BYTES = 1024 * 1024;

/** `file:/absolute/path`: the content of a file on the server's machine, without one newline at its end. */
export function fileSecrets(): SecretStore {
  return {
    scheme: 'file',
    read: async (path) => {
      if (!path.startsWith('/')) throw unreadable(path, 'it is not an absolute path');
      try {
        return await readSmall(path);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT' || code === 'ENOTDIR') return null;
        throw error instanceof SecretError ? error : unreadable(path, code ?? 'unknown reason');
      }
    },
  };
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
