// A Docker Engine of our own: its images, containers, networks and socket lie in one folder and end with the test run.
import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';

import { programPath } from '../packages.js';
import { startDaemon } from './daemon.js';

/**
 * Several engines may run on one machine at once, so this one touches nothing that is shared: no iptables rules (an
 * engine that starts clears those of another) and no `docker0` bridge. Ports are published by its user-land proxy.
 */
export async function startDockerEngine(directory) {
  const socket = join(directory, 'docker.sock');
  await mkdir(directory, { recursive: true });
  spawnSync(programPath('cgroupfs-mount') ?? 'cgroupfs-mount', { stdio: 'ignore' }); // does nothing where they are mounted
  const daemon = await startDaemon({
    program: programPath('dockerd') ?? 'dockerd',
    argv: [
      `--data-root=${join(directory, 'data')}`,
      `--exec-root=${join(directory, 'exec')}`,
      `--pidfile=${join(directory, 'docker.pid')}`,
      `--host=unix://${socket}`,
      '--bridge=none',
      '--iptables=false',
      `--default-address-pool=base=10.${100 + (process.pid % 100)}.0.0/16,size=24`,
      '--shutdown-timeout=1',
      '--log-level=warn',
    ],
    log: join(directory, 'dockerd.log'),
    isReady: async () => (await call(socket, 'GET', '/_ping')).body === 'OK',
  });
  return {
    address: `unix://${socket}`,
    stop: async () => {
      await removeAll(socket).catch(() => undefined);
      await daemon.stop();
    },
  };
}

/** An engine that ends leaves the bridges of its networks to the kernel; removed first, they go. */
async function removeAll(socket) {
  const containers = JSON.parse((await call(socket, 'GET', '/containers/json?all=1')).body);
  await Promise.all(containers.map(({ Id }) => call(socket, 'DELETE', `/containers/${Id}?force=1&v=1`)));
  const networks = JSON.parse((await call(socket, 'GET', '/networks')).body);
  const made = networks.filter(({ Driver }) => Driver === 'bridge');
  await Promise.all(made.map(({ Id }) => call(socket, 'DELETE', `/networks/${Id}`)));
}

function call(socketPath, method, path) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, timeout: 20_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode, body }));
      response.on('error', reject);
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('The engine does not answer.')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}
