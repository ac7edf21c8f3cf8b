// A Docker Swarm of our own: engines that are managers, each in a network namespace, joined by a bridge of this machine.
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';

import { programPath } from '../packages.js';
import { startDaemon } from './daemon.js';
import { call, freePrefix, removeAll } from './docker-engine.js';

const run = promisify(execFile);
const ip = (...argv) => run(programPath('ip') ?? 'ip', argv);

/**
 * Each engine has its own namespace, so its rules and its `docker_gwbridge` meet nobody else's. It is entered by `nsenter`:
 * `ip netns exec` mounts /sys anew, without the control groups that an engine needs.
 */
export async function startSwarm(directory, count) {
  await mkdir(directory, { recursive: true });
  spawnSync(programPath('cgroupfs-mount') ?? 'cgroupfs-mount', { stdio: 'ignore' }); // does nothing where they are mounted
  const undo = [];
  const stop = async () => {
    for (const each of undo.toReversed()) await each().catch(() => undefined);
  };
  try {
    const network = await makeBridge(count, undo);
    const nodes = [];
    for (let number = 1; number <= count; number++) nodes.push(await startNode(directory, network, number, undo));
    await formSwarm(nodes);
    return { address: JSON.stringify({ gateway: network.gateway, nodes }), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function makeBridge(count, undo) {
  const prefix = await freePrefix();
  const name = `tpsw${count}-${process.pid}`;
  const gateway = `${prefix}.0.1`;
  await ip('link', 'add', 'name', name, 'type', 'bridge');
  undo.push(() => ip('link', 'delete', name));
  await ip('address', 'add', `${gateway}/24`, 'dev', name);
  await ip('link', 'set', name, 'up');
  return { name, prefix, gateway };
}

async function startNode(directory, network, number, undo) {
  const namespace = `${network.name}-${number}`;
  const address = `${network.prefix}.0.${10 + number}`;
  await ip('netns', 'add', namespace);
  undo.push(() => ip('netns', 'delete', namespace));
  const outside = `v${number}-${network.name}`.slice(0, 15);
  await ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
  await ip('link', 'set', outside, 'master', network.name, 'up');
  const inside = (...argv) => ip('-netns', namespace, ...argv);
  await inside('address', 'add', `${address}/24`, 'dev', 'eth0');
  await inside('link', 'set', 'lo', 'up');
  await inside('link', 'set', 'eth0', 'up');
  await inside('route', 'add', 'default', 'via', network.gateway);

  const folder = join(directory, String(number));
  const socket = join(folder, 'docker.sock');
  const pidFile = join(folder, 'docker.pid');
  await mkdir(folder, { recursive: true });
  const argv = [
    `--net=/run/netns/${namespace}`,
    programPath('dockerd') ?? 'dockerd',
    `--data-root=${join(folder, 'data')}`,
    `--exec-root=${join(folder, 'exec')}`,
    `--pidfile=${pidFile}`,
    `--host=unix://${socket}`,
    '--default-address-pool=base=172.30.0.0/16,size=24',
    `--insecure-registry=${network.prefix}.0.0/16`,
    '--shutdown-timeout=1',
    '--log-level=warn',
  ];
  const host = `unix://${socket}`;
  const log = join(folder, 'dockerd.log');
  const start = () => startSwarmEngine({ host, argv, log });
  const daemon = await start();
  undo.push(async () => {
    const isThere = await call(socket, 'GET', '/_ping').catch(() => null);
    const last = isThere === null ? await start() : daemon; // a test may have killed it: started again, it ends its containers
    await removeAll(socket).catch(() => undefined);
    await last.stop();
    await endEngine(pidFile); // one that a test started again
  });
  return { host, address, pidFile, argv, log };
}

async function endEngine(pidFile) {
  const pid = Number((await readFile(pidFile, 'utf8').catch(() => '')).trim());
  if (pid === 0 || !existsSync(`/proc/${pid}`)) return;
  process.kill(pid, 'SIGTERM');
  for (let tries = 0; tries < 100 && existsSync(`/proc/${pid}`); tries++) await wait(100);
  if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
}

/** Starts the engine of a node again that was killed. @returns how to end it */
export function startSwarmEngine({ host, argv, log }) {
  const isReady = async () => (await call(host.slice('unix://'.length), 'GET', '/_ping')).body === 'OK';
  return startDaemon({ program: 'nsenter', argv, log, isReady });
}

async function formSwarm([first, ...others]) {
  const ask = async ({ host }, path, body) => {
    const { status, body: answer } = await call(
      host.slice('unix://'.length),
      body === undefined ? 'GET' : 'POST',
      path,
      body,
    );
    if (status !== 200) throw new Error(`${path} was answered with ${status}: ${answer}`);
    return answer === '' ? null : JSON.parse(answer);
  };
  await ask(first, '/swarm/init', {
    ListenAddr: `${first.address}:2377`,
    AdvertiseAddr: first.address,
    DefaultAddrPool: ['172.29.0.0/16'],
    SubnetSize: 24,
  });
  const { JoinTokens } = await ask(first, '/swarm');
  for (const node of others) {
    await ask(node, '/swarm/join', {
      ListenAddr: `${node.address}:2377`,
      AdvertiseAddr: node.address,
      RemoteAddrs: [`${first.address}:2377`],
      JoinToken: JoinTokens.Manager,
    });
  }
}
