import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { afterEach, beforeAll, expect, test } from 'vitest';

import { makeTestImage } from '../../../tools/test-machine/image.ts';
import { pushTestImage } from '../../../tools/test-machine/oci-image.ts';
import { debianRegistryHost, dockerHost } from '../../../tools/test-machine/machine.ts';
import { inspectContainer, lastLines } from '../../container/docker/containers.ts';
import { connectDocker, type DockerEngine } from '../../container/docker/engine.ts';
import type { Digest } from '../../lib/digest.ts';
import { noLog } from '../../lib/log.ts';
import type { Target } from '../driver.ts';
import type { InstanceSpec } from '../rollout.ts';
import { dockerRuntime } from './runtime.ts';

const run = promisify(execFile);
const context = { log: noLog, signal: new AbortController().signal };
const target: Target = { project: 'shop', environment: 'qa', slug: 'qa-1' };
const other: Target = { project: 'shop', environment: 'prod', slug: 'prod-1' };

let engine: DockerEngine;
let image: string;
let digest: Digest;

beforeAll(async () => {
  engine = await connectDocker({ host: await dockerHost() });
  const host = await debianRegistryHost();
  const made = await makeTestImage({
    base: 'busybox',
    files: { '/www/index.html': 'hello', '/www/healthz': 'well' },
    argv: ['sh', '-c', 'echo "listens on $PORT"; exec httpd -f -p "$PORT" -h /www'],
    user: '1000',
  });
  await pushTestImage(host, 'shop/web', made);
  image = `${host}/shop/web`;
  digest = made.digest;
});

afterEach(async () => {
  for (const place of [target, other]) {
    for (const { id } of await runtime().list(place)) await runtime().remove(place, id);
    await runtime().clear(place);
  }
});

test('an instance runs, is reached on loopback, and is seen with the digest that really runs', async () => {
  const health = { path: '/healthz', intervalMs: 100, timeoutMs: 1000, startMs: 10_000 };
  await runtime().start(spec({ service: { port: 3000, publicPort: 7100, health } }), context);
  const [seen] = await runtime().list(target);
  expect(seen).toMatchObject({
    id: 'web-0',
    service: 'web',
    operation: 'op-1',
    digest,
    running: true,
    publicPort: 7100,
    health,
  });
  await expect.poll(() => answerOf(seen?.address ?? null).catch(() => null)).toBe('hello');
  expect(await runtime().list(other)).toEqual([]);
});

test('starting twice leaves the first one running; a dead one is replaced', async () => {
  await runtime().start(spec({}), context);
  const first = await inspectContainer(engine, 'web-0-test');
  await runtime().start(spec({}), context);
  expect((await inspectContainer(engine, 'web-0-test'))?.id).toBe(first?.id);
  await runtime().stop(target, 'web-0', 1000);
  expect((await runtime().list(target)).map(({ running, address }) => ({ running, address }))).toEqual([
    { running: false, address: null },
  ]);
  await runtime().start(spec({}), context);
  expect((await inspectContainer(engine, 'web-0-test'))?.id).not.toBe(first?.id);
  expect((await runtime().list(target))[0]?.running).toBe(true);
});

test('stopping, removing and clearing may be done twice, and of what never was', async () => {
  await runtime().start(spec({}), context);
  for (let round = 0; round < 2; round++) {
    await runtime().stop(target, 'web-0', 1000);
    await runtime().remove(target, 'web-0');
    await runtime().clear(target);
    await runtime().remove(target, 'never-was');
  }
  expect(await runtime().list(target)).toEqual([]);
  const networks = (await engine.docker.listNetworks()).map(({ Name }) => Name);
  expect(networks.filter((name) => name.startsWith('towpath-') && name.endsWith('-test'))).toEqual([]);
});

test('a secret is a file inside and nowhere else: not in environment, arguments, labels or output', async () => {
  const canary = 'c4n4ry-s3cr3t';
  const argv = ['sh', '-c', 'ls -l $TOWPATH_SECRETS; cat $TOWPATH_SECRETS/TOKEN > /tmp/got; exec sleep 1000'];
  const secrets = new Map([['TOKEN', canary]]);
  await runtime().start(spec({ secrets, service: { command: argv } }), context);
  const inspected = await engine.docker.getContainer('web-0-test').inspect();
  expect(JSON.stringify(inspected)).not.toContain(canary);
  expect(await output('web-0-test', /TOKEN/)).not.toContain(canary);
  const got = await engine.docker.getContainer('web-0-test').getArchive({ path: '/run/secrets/TOKEN' });
  expect((await bytesOf(got)).toString('latin1')).toContain(canary);
  await expect(
    runtime().start(spec({ id: 'web-1', secrets: new Map([['../../etc/passwd', 'x']]) }), context),
  ).rejects.toMatchObject({ code: 'deploy.secret-name' });
});

test('limits are held, rights that nobody needs are dropped, and the image keeps its user', async () => {
  await runtime().start(spec({ service: { limits: { memoryMb: 64, cpus: 0.5 } } }), context);
  const { HostConfig, Config, State } = await engine.docker.getContainer('web-0-test').inspect();
  expect(HostConfig).toMatchObject({
    Memory: 64 * 1024 * 1024,
    MemorySwap: 64 * 1024 * 1024,
    NanoCpus: 500_000_000,
    SecurityOpt: ['no-new-privileges'],
    RestartPolicy: { Name: 'unless-stopped' },
  });
  expect(Config.User).toBe('1000');
  const status = await run('cat', [`/proc/${State.Pid}/status`]);
  expect(status.stdout).toMatch(/^Uid:\s+1000/m);
});

test('a program that ends by itself is started again on the same port', async () => {
  await runtime().start(spec({ service: { port: 3000 } }), context);
  const [before] = await runtime().list(target);
  const { State } = await engine.docker.getContainer('web-0-test').inspect();
  process.kill(State.Pid, 'SIGKILL');
  await expect.poll(async () => (await inspectContainer(engine, 'web-0-test'))?.restarts).toBe(1);
  await expect.poll(async () => (await runtime().list(target))[0]?.address).toEqual(before?.address);
  await expect.poll(() => answerOf(before?.address ?? null).catch(() => null)).toBe('hello');
});

test('environments are networks of their own: instances of one find no instance of another', async () => {
  await runtime().start(spec({ service: { port: 3000 } }), context);
  await runtime().start(spec({ target: other, id: 'web-9', service: { port: 3000 } }), context);
  const nets = await Promise.all(
    ['web-0-test', 'web-9-test'].map(async (name) => {
      const { NetworkSettings } = await engine.docker.getContainer(name).inspect();
      return Object.keys(NetworkSettings.Networks);
    }),
  );
  expect(nets.flat()).toHaveLength(2);
  expect(new Set(nets.flat()).size).toBe(2);
});

test('another installation on the same engine keeps to its own', async () => {
  await runtime().start(spec({}), context);
  const neighbour = dockerRuntime({ engine: () => Promise.resolve(engine), installation: 'neighbour' });
  expect(await neighbour.list(target)).toEqual([]);
  await neighbour.remove(target, 'web-0');
  expect(await runtime().list(target)).toHaveLength(1);
});

test('an image that is not there fails the start with the words of the engine, and nothing stays', async () => {
  const wrong = spec({ service: { digest: `sha256:${'0'.repeat(64)}` } });
  await expect(runtime().start(wrong, context)).rejects.toMatchObject({ code: 'docker.refused' });
  expect(await runtime().list(target)).toEqual([]);
});

test('hostile names and values arrive unharmed', async () => {
  const nasty = `"; rm -rf / #\n$(id) 'ü`;
  const place = { project: nasty, environment: nasty, slug: 'x-1' };
  const argv = ['sh', '-c', 'printf "%s|" "$@" "$NASTY"; echo; exec sleep 1000', 'sh', nasty];
  await runtime().start(
    spec({ target: place, operation: nasty, service: { service: nasty, command: argv, env: { NASTY: nasty } } }),
    context,
  );
  const [seen] = await runtime().list(place);
  expect(seen).toMatchObject({ service: nasty, operation: nasty, running: true });
  expect(await output('web-0-test', /\|[^]*\|/)).toBe(`${nasty}|${nasty}|`);
  await runtime().remove(place, 'web-0');
  await runtime().clear(place);
});

function runtime() {
  return dockerRuntime({ engine: () => Promise.resolve(engine), installation: 'test' });
}

function spec(
  part: Partial<Omit<InstanceSpec, 'service'>> & { service?: Partial<InstanceSpec['service']> },
): InstanceSpec {
  const service = { service: 'web', image, digest, env: {}, secrets: {}, replicas: 1, limits: {} };
  return {
    id: 'web-0',
    index: 0,
    operation: 'op-1',
    target,
    secrets: new Map<string, string>(),
    ...part,
    service: {
      ...service,
      ...(part.service?.port === undefined ? { command: ['sleep', '1000'] } : {}),
      ...part.service,
    },
  };
}

async function answerOf(address: { host: string; port: number } | null): Promise<string> {
  return (await fetch(`http://${address?.host}:${address?.port}/`)).text();
}

async function output(name: string, wanted: RegExp): Promise<string> {
  let text = '';
  await expect
    .poll(async () => (text = (await lastLines(engine, name, 50)).join('\n')), { timeout: 20_000 })
    .toMatch(wanted);
  return text;
}

async function bytesOf(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
