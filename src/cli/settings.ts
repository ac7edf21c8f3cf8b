import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { readLocalToken } from '../access/local-token-store.ts';
import type { CommonOptions } from './context.ts';
import { usage } from './cli-error.ts';
import type { Io } from './io.ts';

export const DEFAULT_PORT = 7070;

/** Whom to ask, and as whom. */
export interface Settings {
  readonly server: string;
  readonly token: string | null;
}

export function dataDirectoryOf(options: CommonOptions, { env, home }: Io): string {
  return options.data ?? env['TOWPATH_DATA'] ?? join(home, '.local', 'share', 'towpath');
}

/**
 * A flag before an environment variable before what `towpath up` left in the data directory.
 * A token is never taken from an argument: argument lists are public on a machine.
 */
export async function readSettings(options: CommonOptions, io: Io): Promise<Settings> {
  const data = dataDirectoryOf(options, io);
  const server =
    options.server ?? io.env['TOWPATH_SERVER'] ?? (await leftServer(data)) ?? `http://127.0.0.1:${DEFAULT_PORT}`;
  if (!/^https?:$/.test(URL.canParse(server) ? new URL(server).protocol : ''))
    throw usage(`"${server}" is not the address of a server.`, 'Give one such as http://127.0.0.1:7070.');
  return { server: server.replace(/\/+$/, ''), token: await tokenOf(options, io, data, server) };
}

async function tokenOf(options: CommonOptions, io: Io, data: string, server: string): Promise<string | null> {
  if (options.tokenFile !== undefined) return tokenIn(options.tokenFile);
  const given = io.env['TOWPATH_TOKEN'];
  if (given !== undefined && given !== '') return soundToken(given, 'TOWPATH_TOKEN');
  // The token of this machine's own server is not shown to another machine.
  return isLoopback(server) ? readLocalToken(data) : null;
}

/** @throws CliError `cli.usage-invalid` */
export async function tokenIn(file: string): Promise<string> {
  const text = await readFile(file === '-' ? '/dev/stdin' : file, 'utf8').catch(() => {
    throw usage(`The token file ${file} cannot be read.`, 'Name a file that holds a token and nothing else.');
  });
  return soundToken(text, `The token file ${file}`);
}

/** What cannot stand in a header would never be sent, and the server would seem to be away. */
function soundToken(text: string, where: string): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw usage(
    `${where} ${token === '' ? 'is empty' : 'holds what no token has'}.`,
    'Give a token there, and nothing else.',
  );
}

/** `towpath up` writes the address it listens on. */
async function leftServer(data: string): Promise<string | null> {
  try {
    const text = (await readFile(join(data, 'server'), 'utf8')).trim();
    return text === '' ? null : text;
  } catch {
    return null;
  }
}

function isLoopback(server: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(new URL(server).hostname);
}
