import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Served } from './served.ts';

/**
 * Debian's registry with basic authentication. (The open one of `tools/test-machine` is shared by all tests.)
 * @param htpasswd lines of `user:bcrypt hash`
 */
export async function startClosedRegistry(htpasswd: string): Promise<Served> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const settings = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
    http: { addr: host },
    auth: { htpasswd: { realm: 'debian', path: join(directory, 'htpasswd') } },
  };
  await writeFile(join(directory, 'config.yml'), JSON.stringify(settings)); // JSON is YAML
  await writeFile(join(directory, 'htpasswd'), htpasswd);
  const child = spawn('docker-registry', ['serve', join(directory, 'config.yml')], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const failed = once(child, 'error').then(([error]) => {
    throw new Error('The test needs the Debian package docker-registry.', { cause: error });
  });
  failed.catch(() => {});
  await Promise.race([failed, answering(`http://${host}/v2/`)]);
  return {
    host,
    close: async () => {
      child.kill('SIGKILL');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A port that nobody had a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answering(url: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      await fetch(url);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
