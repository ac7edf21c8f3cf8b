import { beforeAll, expect, test } from 'vitest';

import { makeTestImage } from '../../../tools/test-machine/image.ts';
import { pushTestImage } from '../../../tools/test-machine/oci-image.ts';
import { debianRegistryHost, dockerHost } from '../../../tools/test-machine/machine.ts';
import { noLog } from '../../lib/log.ts';
import type { BesideSpec, ImageOnMachine, TaskSpec } from '../runtime.ts';
import { createContainer, killContainer, listContainers, startContainer } from './containers.ts';
import { connectDocker, type DockerEngine } from './engine.ts';
import { pullImage } from './images.ts';
import { ensureNetwork } from './networks.ts';
import { dockerTaskRunner, sweepDockerTasks, TASK_LABEL } from './task-runner.ts';

let engine: DockerEngine;
let image: ImageOnMachine;

beforeAll(async () => {
  engine = await connectDocker({ host: await dockerHost() });
  const made = await makeTestImage({ base: 'node', argv: ['sh', '-c', 'exit 3'] });
  const reference = await pushTestImage(await debianRegistryHost(), 'container/beside', made);
  image = { reference, config: { entrypoint: [], command: [], env: {}, workdir: '', user: '' } };
  await pullImage(engine, reference, { log: noLog, signal: new AbortController().signal });
});

/** By Node: the static busybox cannot look up names. */
const ask = (...hosts: string[]) => ({
  argv: [
    'node',
    '-e',
    `(async () => { for (const url of ${JSON.stringify(hosts.map((host) => `http://${host}:8080/word`))})
      process.stdout.write(await (await fetch(url)).text()); })()`,
  ],
});

test('a task reaches its parts by their names, and nothing of them is there afterwards', async () => {
  const beside = [
    part('store', 'echo begins; mkdir /www; echo "$WORD" > /www/word'),
    part('other', 'mkdir /www; echo two > /www/word'),
  ];
  const { result, lines } = await run({ ...ask('store', 'other'), beside });
  expect(result).toEqual({ kind: 'exited', code: 0 });
  expect(lines.toSorted()).toEqual(['one', 'store | begins', 'two']);
  expect(await namesOf('towpath-beside')).toEqual([]);
});

test('a task that shares the network of the machine reaches them too', async () => {
  const beside = [part('store', 'mkdir /www; echo here > /www/word')];
  expect(await run({ ...ask('store'), network: 'host', beside })).toMatchObject({
    result: { kind: 'exited', code: 0 },
    lines: ['here'],
  });
});

test('parts of one task are out of reach of another, though they have the same names', async () => {
  const one = run({
    ...ask('store'),
    name: 'towpath-beside-1',
    beside: [part('store', 'mkdir /www; echo 1 > /www/word')],
  });
  const two = run({
    ...ask('store'),
    name: 'towpath-beside-2',
    beside: [part('store', 'mkdir /www; echo 2 > /www/word')],
  });
  expect([(await one).lines, (await two).lines]).toEqual([['1'], ['2']]);
});

test('it begins when its parts say that they are ready', async () => {
  const slow = part('store', 'mkdir /www; sleep 1; echo ready > /www/word', { ready: ['test', '-e', '/www/word'] });
  expect(await run({ ...ask('store'), beside: [slow] })).toMatchObject({ lines: ['ready'] });
});

test('without its parts it is not begun, and the first that is not ready is named', async () => {
  const ends = { ...part('store', ''), command: ['sh', '-c', 'echo no disk; exit 4'] };
  const never = part('other', 'sleep 60', { readyWithinMs: 60_000 });
  expect(await run({ ...ask('store'), beside: [ends, never] })).toEqual({
    result: { kind: 'unready', why: 'store ended before it was ready (exit code 4)' },
    lines: ['store | no disk'],
  });
  const slow = part('store', 'sleep 60', { readyWithinMs: 300 });
  expect((await run({ ...ask('store'), beside: [slow] })).result).toEqual({
    kind: 'unready',
    why: 'store was not ready within 0.3 s',
  });
  expect(await namesOf('towpath-beside')).toEqual([]);
});

test('a part that ends while the task runs is told', async () => {
  const end = async (name: string): Promise<void> => {
    await killContainer(engine, name);
    await engine.docker.getContainer(name).wait();
  };
  const log = (line: string): void => {
    if (line === 'up') void end('towpath-beside-store').then(() => killContainer(engine, 'towpath-beside'));
  };
  const beside = [part('store', 'mkdir /www')];
  const { result } = await run({ argv: ['sh', '-c', 'echo up; sleep 1000'], beside }, { log });
  expect(result).toEqual({ kind: 'exited', code: 137, lost: ['store'] });
});

test('what a killed server left under the name of the task is replaced', async () => {
  const labels = { [TASK_LABEL]: 'towpath-beside' };
  await ensureNetwork(engine, 'towpath-beside', labels);
  const spec = { name: 'towpath-beside-store', image, argv: ['sleep', '1000'], env: {}, labels };
  await createContainer(engine, spec, { network: 'towpath-beside', alias: 'store', restarts: false });
  const { lines } = await run({ ...ask('store'), beside: [part('store', 'mkdir /www; echo new > /www/word')] });
  expect(lines).toEqual(['new']);
});

test('the sweep removes what a killed server left, and nothing that a living one works with', async () => {
  const left = {
    [TASK_LABEL]: 'towpath-left',
    'dev.towpath.installation': 'here',
    'dev.towpath.maker': '4194304-abcdef',
  };
  await ensureNetwork(engine, 'towpath-left', left);
  for (const name of ['towpath-left', 'towpath-left-store']) {
    const spec = { name, image, argv: ['sleep', '1000'], env: {}, labels: left };
    await createContainer(engine, spec, { network: 'towpath-left', alias: name, restarts: false });
    await startContainer(engine, name);
  }
  const living = run({ ...ask('store'), beside: [part('store', 'mkdir /www; echo lives > /www/word')] });
  await sweepDockerTasks(engine, 'elsewhere');
  expect(await namesOf('towpath-left')).toHaveLength(3);
  await Promise.all([sweepDockerTasks(engine, 'here'), sweepDockerTasks(engine, '')]);
  expect(await namesOf('towpath-left')).toEqual([]);
  expect((await living).lines).toEqual(['lives']);
});

test('a task that is called off while its parts begin leaves nothing', async () => {
  const off = new AbortController();
  const beside = [part('store', 'echo up; sleep 60')];
  const running = run(
    { ...ask('store'), beside },
    { log: () => off.abort(new Error('superseded')), signal: off.signal },
  );
  await expect(running).rejects.toThrow('superseded');
  expect(await namesOf('towpath-beside')).toEqual([]);
});

function part(name: string, script: string, more: Partial<BesideSpec> = {}): BesideSpec {
  const command = ['sh', '-c', `${script}; exec httpd -f -p 8080 -h /www`];
  return { name, image, command, env: { WORD: 'one' }, port: 8080, readyWithinMs: 30_000, ...more };
}

/** Names of containers and networks of a task that are still there. */
async function namesOf(task: string): Promise<string[]> {
  const filters = { label: [`${TASK_LABEL}=${task}`] };
  const networks = await engine.docker.listNetworks({ filters });
  return [
    ...(await listContainers(engine, { [TASK_LABEL]: task })),
    ...networks.map(({ Name: name }) => ({ name })),
  ].map(({ name }) => name);
}

async function run(part: Partial<TaskSpec>, options: { log?: (line: string) => void; signal?: AbortSignal } = {}) {
  const lines: string[] = [];
  const log = options.log ?? ((line: string): void => void lines.push(line));
  const signal = options.signal ?? new AbortController().signal;
  const spec = { name: 'towpath-beside', image, env: {}, ...part };
  const result = await dockerTaskRunner(engine).run(spec, { log, signal, timeoutMs: 60_000 });
  return { result, lines };
}
