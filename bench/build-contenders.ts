import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { programPath } from '../tools/packages.js';
import { startDockerEngine } from '../tools/test-machine/docker-engine.js';

const execute = promisify(execFile);

/** Another tool that builds the same three layers from a Dockerfile in a folder, and pushes the image. */
export interface OtherBuilder {
  readonly name: 'buildkit' | 'buildah';
  /** Has the base image here, as the others have. */
  pullBase(base: string): Promise<void>;
  /** Forgets every layer, but not the base. */
  forget(): Promise<void>;
  build(folder: string, to: string): Promise<void>;
  stop(): Promise<void>;
}

/** `docker build` with BuildKit, on an engine of its own. */
export async function buildkit(directory: string): Promise<OtherBuilder | null> {
  const debian = '/usr/bin/docker'; // has BuildKit built in; newer clients need a plugin
  const program = existsSync(debian) ? debian : programPath('docker');
  if (program === null || programPath('dockerd') === null || process.getuid?.() !== 0) return null;
  const engine = await startDockerEngine(join(directory, 'docker'));
  const docker = async (...argv: string[]) =>
    execute(program, ['--host', engine.address, ...argv], {
      env: { ...process.env, DOCKER_BUILDKIT: '1' },
      maxBuffer: 64 * 1024 * 1024,
    });
  return {
    name: 'buildkit',
    pullBase: async (base) => void (await docker('pull', '--quiet', base)),
    forget: async () => void (await docker('builder', 'prune', '--all', '--force')),
    build: async (folder, to) => {
      await docker('build', '--quiet', '--network', 'host', '--tag', to, folder);
      await docker('push', '--quiet', to);
    },
    stop: async () => engine.stop(),
  };
}

/** `buildah bud --layers`, with a store of its own. */
export async function buildah(directory: string): Promise<OtherBuilder | null> {
  if (programPath('buildah') === null || process.getuid?.() !== 0) return null;
  const spaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const store = ['--root', join(directory, 'buildah'), '--runroot', join(directory, 'buildah-run')];
  const run = async (...argv: string[]) =>
    execute('unshare', [...spaces, 'buildah', ...store, ...argv], { maxBuffer: 64 * 1024 * 1024 });
  let base = '';
  const pullBase = async (reference: string): Promise<void> => {
    base = reference;
    await run('pull', '--quiet', '--tls-verify=false', reference);
  };
  return {
    name: 'buildah',
    pullBase,
    forget: async () => {
      await run('rmi', '--all', '--force');
      await pullBase(base);
    },
    build: async (folder, to) => {
      const how = ['--layers', '--runtime', 'runc', '--network', 'host', '--tls-verify=false'];
      await run('bud', '--quiet', ...how, '--tag', to, folder);
      await run('push', '--quiet', '--tls-verify=false', to);
    },
    stop: async () => void (await run('rmi', '--all', '--force').catch(() => undefined)),
  };
}
