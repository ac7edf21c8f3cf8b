import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { programPath } from '../../../tools/packages.js';
import { freePort } from '../../lib/port.ts';
import { untilTrue } from '../../lib/until.ts';
import type { GitCredential } from '../credential.ts';
import type { Remote } from '../remote.ts';

const run = promisify(execFile);

export interface SshServer {
  /** What it lets in, and knows it by. */
  readonly credential: Extract<GitCredential, { kind: 'ssh' }>;
  /** A key that it does not let in. */
  readonly strangerKey: string;
  /** A bare repository on this machine, through it. */
  remoteOf(directory: string): Remote;
  close(): Promise<void>;
}

/** A real OpenSSH server on loopback, as whoever runs the tests. What git asks for is run as on any git server reached by ssh. */
export async function startSshServer(): Promise<SshServer> {
  const root = await mkdtemp(join(tmpdir(), 'towpath-sshd-'));
  const { username, uid } = userInfo();
  if (uid === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 }); // where it puts its less trusted half
  const at = (name: string): string => join(root, name);
  for (const key of ['host', 'user', 'stranger'])
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', at(key)]);
  await copyFile(at('user.pub'), at('authorized'));
  const port = await freePort('127.0.0.1');
  const known = `[127.0.0.1]:${port} ${(await readFile(at('host.pub'), 'utf8')).split(' ').slice(0, 2).join(' ')}\n`;
  await writeFile(at('known'), known);
  const config = {
    ListenAddress: `127.0.0.1:${port}`,
    HostKey: at('host'),
    AuthorizedKeysFile: at('authorized'),
    PidFile: 'none',
    StrictModes: 'no',
    UsePAM: 'no',
    PasswordAuthentication: 'no',
    AllowUsers: username,
  };
  await writeFile(
    at('config'),
    Object.entries(config)
      .map(([key, value]) => `${key} ${value}\n`)
      .join(''),
  );
  await chmod(at('config'), 0o600);
  // it begins itself anew for each connection, and so wants its whole path
  const server = spawn(programPath('sshd') ?? '/usr/sbin/sshd', ['-D', '-e', '-f', at('config')], { stdio: 'ignore' });
  const gone = once(server, 'exit');
  const isUp = await untilTrue(() => answers(port), {
    everyMs: 20,
    timeoutMs: 30_000,
    signal: new AbortController().signal,
  });
  if (!isUp) throw new Error('The ssh server did not come up.');
  const credential = { kind: 'ssh', keyFile: at('user'), knownHostsFile: at('known') } as const;
  return {
    credential,
    strangerKey: at('stranger'),
    remoteOf: (directory) => ({
      url: `ssh://${username}@127.0.0.1:${port}${directory}`,
      credential: () => Promise.resolve(credential),
    }),
    async close() {
      server.kill();
      await gone;
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'data'); // its banner
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
