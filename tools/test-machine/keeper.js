// Keeps the private services of one test run: Docker Engines, a Postgres, a registry, a Kubernetes, each started when a test first asks for it
// and ended, with all they made, when the run ends, however it ends: the run's end closes our standard input.
// A process of its own, so that neither Ctrl-C nor a killed test run leaves anything behind. Plain JavaScript: it is not built.
import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { startArgocd } from './argocd.js';
import { startDockerEngine } from './docker-engine.js';
import { startKubernetes } from './kubernetes.js';
import { startPostgres } from './postgres.js';
import { startRegistry } from './registry.js';
import { startSwarm } from './swarm.js';

const run = promisify(execFile);
const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: keeper.js DIRECTORY');

const starters = {
  argocd: async (folder) => startArgocd(folder, await addressOf('kubernetes')),
  docker: startDockerEngine,
  kubernetes: startKubernetes,
  postgres: startPostgres,
  registry: startRegistry,
  swarm: (folder) => startSwarm(folder, 1),
  swarm3: (folder) => startSwarm(folder, 3),
};
/** Name -> promise of `{ address, stop }`: asked for twice is started once. */
const services = new Map();

const server = createServer((socket) => {
  let asked = '';
  socket.on('error', () => undefined);
  socket.on('data', (bytes) => {
    asked += bytes;
    if (!asked.endsWith('\n')) return;
    addressOf(asked.trim()).then(
      (address) => socket.end(JSON.stringify({ address })),
      (error) => socket.end(JSON.stringify({ error: error.message })),
    );
  });
});
server.listen(join(directory, 'ask.sock'), () => process.stdout.write('ready\n'));

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);
process.stdin.resume();
process.stdin.on('close', () => void end());

async function addressOf(name) {
  const start = starters[name];
  if (start === undefined) throw new Error(`There is no service "${name}".`);
  if (!services.has(name)) services.set(name, start(join(directory, name)));
  return (await services.get(name)).address;
}

async function end() {
  server.close();
  const started = await Promise.allSettled(services.values());
  await Promise.allSettled(started.filter(({ status }) => status === 'fulfilled').map(({ value }) => value.stop()));
  await unmountAll();
  await rm(directory, { recursive: true, force: true });
  process.exit(0);
}

/** The engine leaves the network namespace of the machine mounted, once a container has used it. */
async function unmountAll() {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((line) => line.split(' ')[4] ?? '');
  const ours = mounts.filter((path) => path.startsWith(`${directory}/`)).toReversed();
  for (const path of ours) await run('umount', ['--lazy', path]).catch(() => undefined);
}
