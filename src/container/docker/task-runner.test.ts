import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { makeTestImage } from '../../../tools/test-machine/image.ts';
import { pushTestImage } from '../../../tools/test-machine/oci-image.ts';
import { debianRegistryHost, dockerHost } from '../../../tools/test-machine/machine.ts';
import { noLog } from '../../lib/log.ts';
import type { RunSpec } from '../runtime.ts';
import { createContainer, inspectContainer, listContainers } from './containers.ts';
import { connectDocker, findDocker, type DockerEngine } from './engine.ts';
import { inspectImage, pullImage } from './images.ts';
import { dockerTaskRunner, TASK_LABEL } from './task-runner.ts';

let engine: DockerEngine;
let reference: string;
const folders: string[] = [];

beforeAll(async () => {
  engine = await connectDocker({ host: await dockerHost() });
  const image = await makeTestImage({ base: 'busybox', argv: ['sh', '-c', 'echo from the image'] });
  reference = await pushTestImage(await debianRegistryHost(), 'container/task', image);
  await pullImage(engine, reference, { log: noLog, signal: new AbortController().signal });
});

afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

test('a task runs the image as it is, and its output comes in whole lines', async () => {
  expect(await run({})).toEqual({ result: { kind: 'exited', code: 0 }, lines: ['from the image'] });
});

test('output and errors come before the task is said to have ended, whatever its exit code', async () => {
  const { result, lines } = await run({ argv: ['sh', '-c', 'printf "a\\nb"; echo oh >&2; exit 7'] });
  expect(result).toEqual({ kind: 'exited', code: 7 });
  expect(lines.toSorted()).toEqual(['a', 'b', 'oh']);
});

test('environment, folder, user and arguments arrive as given, and no shell reads them', async () => {
  const { lines } = await run({
    argv: ['sh', '-c', 'id -u; pwd; echo "$GREETING"; printf "%s\\n" "$@"', 'sh', '$(id)', 'a b'],
    env: { GREETING: 'ça; va && $HOME' },
    workdir: '/tmp',
    user: '1000:1000',
  });
  expect(lines).toEqual(['1000', '/tmp', 'ça; va && $HOME', '$(id)', 'a b']);
});

test('a mounted folder is seen inside and read-only unless it is said to be writable; the image stays clean', async () => {
  const [readOnly, writable] = await Promise.all([folder(), folder()]);
  await writeFile(join(readOnly, 'test.js'), 'works');
  const before = await inspectImage(engine, reference);
  const { lines } = await run({
    argv: ['sh', '-c', 'cat /in/test.js; echo; touch /in/x || echo refused; echo result > /out/report'],
    mounts: [
      { from: readOnly, to: '/in', writable: false },
      { from: writable, to: '/out', writable: true },
    ],
  });
  expect(lines).toContain('works');
  expect(lines).toContain('refused');
  expect(await readFile(join(writable, 'report'), 'utf8')).toBe('result\n');
  expect(await inspectImage(engine, reference)).toEqual(before);
});

test('the loopback of the machine is out of reach, unless the task is given the network of the machine', async () => {
  const server = createServer((socket) => socket.end('here\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const argv = ['nc', '-w', '5', '127.0.0.1', String(port)];
  try {
    expect((await run({ argv })).result).toEqual({ kind: 'exited', code: 1 });
    expect(await run({ argv, network: 'host' })).toEqual({ result: { kind: 'exited', code: 0 }, lines: ['here'] });
  } finally {
    server.close();
  }
});

test('a task that takes too long is ended and nothing of it stays', async () => {
  const { result } = await run({ name: 'towpath-test-slow', argv: ['sleep', '1000'] }, { timeoutMs: 300 });
  expect(result).toEqual({ kind: 'timed-out' });
  expect(await inspectContainer(engine, 'towpath-test-slow')).toBeNull();
});

test('a task that is called off fails with the reason, and nothing of it stays', async () => {
  const off = new AbortController();
  const running = dockerTaskRunner(engine).run(
    spec({ name: 'towpath-test-off', argv: ['sh', '-c', 'echo up; sleep 1000'] }),
    {
      log: () => off.abort(new Error('lost the lane')),
      signal: off.signal,
      timeoutMs: 60_000,
    },
  );
  await expect(running).rejects.toThrow('lost the lane');
  expect(await inspectContainer(engine, 'towpath-test-off')).toBeNull();
});

test('a task that takes more memory than it may have is killed, and that is said', async () => {
  const { result } = await run({
    argv: ['sh', '-c', 'x=a; while true; do x="$x$x"; done'],
    limits: { memoryMb: 16 },
  });
  expect(result).toEqual({ kind: 'out-of-memory' });
});

test('a container left under the name of the task by a killed server is replaced', async () => {
  const left = spec({ name: 'towpath-test-left', argv: ['sleep', '1000'] });
  await createContainer(engine, left);
  expect((await run({ name: 'towpath-test-left' })).result).toEqual({ kind: 'exited', code: 0 });
});

test('tasks leave no container behind', async () => {
  await run({});
  expect(await listContainers(engine, { [TASK_LABEL]: 'towpath-test' })).toEqual([]);
});

test('a program that is not in the image ends with 127, and the log says which it was', async () => {
  const { result, lines } = await run({ argv: ['no-such-program'] });
  expect(result).toEqual({ kind: 'exited', code: 127 });
  expect(lines.join()).toContain('no-such-program');
});

test('an image that is nowhere is a failure with the words of the engine', async () => {
  const image = { ...spec({}).image, reference: reference.replace('container/task', 'container/none') };
  await expect(run({ image })).rejects.toMatchObject({ code: 'docker.refused' });
});

test('where no engine listens there is none, and asking for it says what to do', async () => {
  const host = 'unix:///nowhere/docker.sock';
  expect(await findDocker({ host })).toBeNull();
  await expect(connectDocker({ host })).rejects.toMatchObject({ code: 'docker.unreachable' });
  await expect(connectDocker({ host: 'ssh://somewhere' })).rejects.toMatchObject({ code: 'docker.host-invalid' });
});

test('an engine that takes a question and says nothing is one that does not answer', async () => {
  const hung = createServer().listen(0, '127.0.0.1');
  await once(hung, 'listening');
  const host = `tcp://127.0.0.1:${(hung.address() as AddressInfo).port}`;
  await expect(connectDocker({ host, silenceMs: 100 })).rejects.toMatchObject({ code: 'docker.unreachable' });
  hung.close();
});

function spec(part: Partial<RunSpec>): RunSpec {
  const config = { entrypoint: [], command: [], env: {}, workdir: '', user: '' };
  return { name: 'towpath-test', image: { reference, config }, env: {}, ...part };
}

async function run(part: Partial<RunSpec>, options: { timeoutMs?: number } = {}) {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const { signal } = new AbortController();
  const result = await dockerTaskRunner(engine).run(spec(part), {
    log,
    signal,
    timeoutMs: options.timeoutMs ?? 60_000,
  });
  return { result, lines };
}

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'towpath-mount-'));
  folders.push(made);
  return made;
}
