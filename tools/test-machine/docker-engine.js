// A Docker Engine of our own: its images, containers, networks and socket lie in one folder and end with the test run.
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { programPath } from '../packages.js';
import { startDaemon } from './daemon.js';

const run = promisify(execFile);

/**
 * Several engines may run on one machine at once, so this one touches nothing that is shared: a bridge of its own, not
 * `docker0`, and no iptables rules by the engine (one that starts clears those of another), but rules of ours that
 * let containers out. Ports are published by its user-land proxy.
 */
export async function startDockerEngine(directory) {
  const socket = join(directory, 'docker.sock');
  await mkdir(directory, { recursive: true });
  spawnSync(programPath('cgroupfs-mount') ?? 'cgroupfs-mount', { stdio: 'ignore' }); // does nothing where they are mounted
  const network = await makeNetwork();
  try {
    return await startOn(network, directory, socket);
  } catch (error) {
    await network.remove();
    throw error;
  }
}

async function startOn(network, directory, socket) {
  const daemon = await startDaemon({
    program: programPath('dockerd') ?? 'dockerd',
    argv: [
      `--data-root=${join(directory, 'data')}`,
      `--exec-root=${join(directory, 'exec')}`,
      `--pidfile=${join(directory, 'docker.pid')}`,
      `--host=unix://${socket}`,
      `--bridge=${network.bridge}`,
      '--iptables=false',
      `--default-address-pool=base=${network.addresses},size=24`,
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
      await network.remove();
      await unmountBelow(directory);
    },
  };
}

async function makeNetwork() {
  const bridge = `towpath${process.pid}`;
  const prefix = await freePrefix();
  const addresses = `${prefix}.0.0/16`;
  const rules = [
    ['nat', 'POSTROUTING', '--source', addresses, '!', '--destination', addresses, '--jump', 'MASQUERADE'],
    // An engine that belongs to the machine forbids forwarding to all but its own.
    ['filter', 'FORWARD', '--source', addresses, '--jump', 'ACCEPT'],
    ['filter', 'FORWARD', '--destination', addresses, '--jump', 'ACCEPT'],
  ];
  const ip = (...argv) => run(programPath('ip') ?? 'ip', argv);
  const rule = (how, [table, ...rest]) =>
    run(programPath('iptables') ?? 'iptables', ['--wait', '--table', table, how, ...rest]);
  await ip('link', 'add', 'name', bridge, 'type', 'bridge');
  await ip('address', 'add', `${prefix}.255.1/24`, 'dev', bridge);
  await ip('link', 'set', bridge, 'up');
  for (const each of rules) await rule('--insert', each);
  return {
    bridge,
    addresses,
    remove: () => Promise.allSettled([...rules.map((each) => rule('--delete', each)), ip('link', 'delete', bridge)]),
  };
}

/** Networks of a Swarm stay mounted where the engine ended while it took them away, and their folder could not be removed. */
async function unmountBelow(directory) {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
  const below = mounts.filter((path) => path.startsWith(`${directory}/`)).toReversed();
  for (const path of below) await run('umount', ['--lazy', path]);
}

/** The first half of addresses that no interface of this machine has: other test runs have theirs. */
export async function freePrefix() {
  const { stdout } = await run(programPath('ip') ?? 'ip', ['-4', '-oneline', 'address']);
  const prefixes = Array.from({ length: 100 }, (_, number) => `10.${100 + ((process.pid + number) % 100)}`);
  return prefixes.find((prefix) => !stdout.includes(` ${prefix}.`)) ?? '10.99';
}

/** An engine that ends leaves the bridges of its networks to the kernel; removed first, they go. */
export async function removeAll(socket) {
  const containers = JSON.parse((await call(socket, 'GET', '/containers/json?all=1')).body);
  await Promise.all(containers.map(({ Id }) => call(socket, 'DELETE', `/containers/${Id}?force=1&v=1`)));
  const networks = JSON.parse((await call(socket, 'GET', '/networks')).body);
  const made = networks.filter(({ Driver, Name }) => Driver === 'bridge' && Name !== 'bridge');
  await Promise.all(made.map(({ Id }) => call(socket, 'DELETE', `/networks/${Id}`)));
}

/** @param given sent as JSON, where there is something */
export function call(socketPath, method, path, given) {
  return new Promise((resolve, reject) => {
    const headers = given === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request({ socketPath, method, path, headers, timeout: 20_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode, body }));
      response.on('error', reject);
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('The engine does not answer.')));
    outgoing.on('error', reject);
    outgoing.end(given === undefined ? undefined : JSON.stringify(given));
  });
}
