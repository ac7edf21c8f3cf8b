import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Certificate } from './certificate.ts';
import type { Served } from './served.ts';

export interface ClosedRegistry {
  /** Lines of `user:bcrypt hash`. */
  readonly htpasswd?: string;
  /** Tokens of this service alone, signed by the key of this certificate. */
  readonly tokens?: { readonly realm: string; readonly cert: string };
  readonly tls?: Certificate;
  /** Default: it deletes manifests that it is asked to. */
  readonly deletes?: boolean;
}

/** What the registry calls itself, and who signs tokens for it. */
export const TOKENS = { service: 'debian-registry', issuer: 'towpath-test' };

/** Debian's registry, which lets in whom it knows; everybody where nothing is said of that. (The open one of `tools/test-machine` is shared by all tests.) */
export async function startClosedRegistry({ htpasswd, tokens, tls, deletes = true }: ClosedRegistry): Promise<Served> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const at = (name: string) => join(directory, name);
  const settings = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: at('data') }, delete: { enabled: deletes } },
    http: { addr: host, ...(tls && { tls: { certificate: at('tls.crt'), key: at('tls.key') } }) },
    auth: {
      ...(htpasswd !== undefined && { htpasswd: { realm: 'debian', path: at('htpasswd') } }),
      ...(tokens && { token: { realm: tokens.realm, ...TOKENS, rootcertbundle: at('tokens.crt') } }),
    },
  };
  const files = { 'tls.crt': tls?.cert, 'tls.key': tls?.key, 'tokens.crt': tokens?.cert, htpasswd };
  for (const [name, content] of Object.entries(files)) await writeFile(at(name), content ?? '');
  await writeFile(at('config.yml'), JSON.stringify(settings)); // JSON is YAML
  const child = spawn('docker-registry', ['serve', at('config.yml')], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const failed = once(child, 'error').then(([error]) => {
    throw new Error('The test needs the Debian package docker-registry.', { cause: error });
  });
  failed.catch(() => {});
  await Promise.race([failed, answering(host)]);
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

/** Waits until somebody takes connections there. */
export async function answering(host: string): Promise<void> {
  const [hostname, port] = host.split(':');
  const deadline = Date.now() + 20_000;
  for (;;) {
    const socket = connect(Number(port), hostname);
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      socket.destroy();
    }
  }
}
