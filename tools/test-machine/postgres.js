// A Postgres of Debian as a stranger's server would be: reached by TCP with a password, run by another user.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { programPath } from '../packages.js';
import { startDaemon } from './daemon.js';
import { freePort } from './free-port.js';

const run = promisify(execFile);

export async function startPostgres(directory, env = {}) {
  const data = join(directory, 'data');
  const passwordFile = join(directory, 'password');
  const password = randomBytes(12).toString('hex');
  const user = await serverUser();
  await mkdir(directory, { recursive: true });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (user.uid !== undefined)
    await Promise.all([directory, passwordFile].map((path) => chown(path, user.uid, user.gid)));
  await chmod(directory, 0o700);

  const initdb = ['-D', data, '-U', 'towpath', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8'];
  await run(programPath('initdb') ?? 'initdb', [...initdb, '--no-locale', '--no-sync'], { ...user, cwd: directory });
  const port = await freePort();
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: directory,
    max_connections: '300',
    // The data lives as long as the test run: a power failure may take it.
    fsync: 'off',
    full_page_writes: 'off',
  };
  const start = () =>
    startDaemon({
      program: programPath('postgres') ?? 'postgres',
      argv: [
        '-D',
        data,
        '-p',
        String(port),
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      options: { ...user, cwd: directory, env: { ...process.env, ...env } },
      log: join(directory, 'postgres.log'),
      isReady: async () =>
        (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[7]?.trim() === 'ready' && answers(port),
      stopSignal: 'SIGQUIT',
    });
  let server = await start();
  return {
    address: `postgres://towpath:${password}@127.0.0.1:${port}/postgres`,
    crash: () => server.stop(),
    start: async () => void (server = await start()),
    stop: () => server.stop(),
  };
}

/** Postgres refuses to run as root, so there it runs as the user that its Debian package made. */
async function serverUser() {
  if (process.getuid?.() !== 0) return {};
  const entry = (await readFile('/etc/passwd', 'utf8')).split('\n').find((line) => line.startsWith('postgres:'));
  if (entry === undefined)
    throw new Error('This machine has no user "postgres"; Debian\'s package postgresql makes it.');
  const [, , uid, gid] = entry.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.end(() => resolve(true)));
  });
}
