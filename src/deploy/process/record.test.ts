import { readFile, readdir, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import { markedProcesses } from '../../container/process/marked.ts';
import { sha256Hex } from '../../lib/digest.ts';
import { noLog } from '../../lib/log.ts';
import { type ProcessUnderTest, processUnderTest } from '../testing/process-machine.ts';
import { type Rollouts, rolloutsOf } from '../testing/rollouts.ts';
import { readAllRecords } from './record.ts';
import { startedDigests } from './runtime.ts';

let under: ProcessUnderTest;
let run: Rollouts;
let instances: string;
beforeAll(async () => {
  under = await processUnderTest();
  instances = join(under.directory, 'run', 'instances');
});
afterAll(() => under.dispose());
beforeEach(() => {
  run = rolloutsOf(under);
});
afterEach(() => run.end());

const BROKEN: Record<string, (file: string, other: string) => Promise<void>> = {
  truncated: (file) => truncate(file, 100),
  empty: (file) => truncate(file, 0),
  'of something else': (file) => writeFile(file, '{"name":"left-pad","version":"1.3.0"}'),
  'of another instance': async (file, other) => writeFile(file, await readFile(other)),
};
const ways = Object.keys(BROKEN);
const two = ['truncated', 'of another instance'];

test.each(ways)('a record that is %s holds up no other, and is told once with what to do', async (way) => {
  const { deploy, web, worker, observe } = run;
  await deploy('one', [await web('v1'), await worker('v1')]);
  const file = await fileOf('web');
  await BROKEN[way]?.(file, await fileOf('worker'));
  await killAll();
  await expect.poll(async () => (await marks()).length).toBe(0);

  const lines: string[] = [];
  const driver = under.restart();
  expect(await driver.revive((line) => lines.push(line))).toBe(1);
  await driver.revive((line) => lines.push(line));
  expect(lines.filter((line) => line.includes(file))).toEqual([
    expect.stringContaining('Promote into its environment once more'),
  ]);
  const { services } = await observe();
  expect(services['worker']?.replicas).toMatchObject([{ serving: true }]);
  expect(services['web']?.replicas).toEqual([]);

  const healed = await deploy('two', [await web('v2'), await worker('v2')]);
  expect(Object.keys(healed.services).sort()).toEqual(['web', 'worker']);
  expect(await readAllRecords(instances)).toMatchObject({ known: [{ operation: 'two' }, { operation: 'two' }] });
  expect(await readdir(join(instances, 'ports'))).toHaveLength(1);
});

test.each(two)('a program whose record is %s is not run twice, and its record comes back', async (way) => {
  const { deploy, web, worker, text } = run;
  const services = [await web('v1'), await worker('v1')];
  const before = await deploy('one', services);
  const file = await fileOf('web');
  const { pid } = JSON.parse(await text('/who')) as { pid: number };
  const running = await marks();
  await BROKEN[way]?.(file, await fileOf('worker'));
  expect(await startedDigests(instances)).toContain(services[0]?.digest);

  expect(await deploy('one', services)).toEqual(before);
  expect(await marks()).toEqual(running);
  expect(JSON.parse(await text('/who'))).toMatchObject({ pid });
  expect((await readAllRecords(instances)).broken).toEqual([]);
});

test.each(two)('the next deployment ends a program whose record is %s', async (way) => {
  const { deploy, web, worker, text } = run;
  await deploy('one', [await web('v1'), await worker('v1')]);
  const old = await marks();
  await BROKEN[way]?.(await fileOf('web'), await fileOf('worker'));
  const after = await deploy('two', [await web('v2'), await worker('v2')]);
  expect(Object.keys(after.services).sort()).toEqual(['web', 'worker']);
  expect(await text('/')).toBe('v2');
  expect((await marks()).filter((mark) => old.includes(mark))).toEqual([]);
});

test.each(two)('destroyed with a record that is %s, nothing is left', async (way) => {
  const { deploy, destroy, web, worker, observe } = run;
  await deploy('one', [await web('v1'), await worker('v1')]);
  await BROKEN[way]?.(await fileOf('web'), await fileOf('worker'));
  await destroy();
  expect(await observe()).toEqual({ services: {} });
  expect(await marks()).toEqual([]);
  expect(await readdir(join(instances, 'ports'))).toEqual([]);
});

test('where the list of who serves is torn, the others are revived, and the next deployment writes it anew', async () => {
  const { deploy, deployTo, web, worker, target } = run;
  const neighbour = { ...target, environment: `${target.environment}-next` };
  await deploy('one', [await web('v1')]);
  await deployTo(neighbour, 'one', [await worker('v1')]);
  const torn = await servingFileWith('web');
  await truncate(torn, 5);
  await killAll();
  await expect.poll(async () => (await marks()).length).toBe(0);

  const lines: string[] = [];
  expect(await under.restart().revive((line) => lines.push(line))).toBe(1);
  expect(lines.join('\n')).toContain(torn);
  await deploy('two', [await web('v2')]);
  await killAll();
  await expect.poll(async () => (await marks()).length).toBe(0);
  expect(await under.restart().revive(noLog)).toBeGreaterThanOrEqual(1);
});

async function fileOf(service: string): Promise<string> {
  for (const name of await readdir(instances, { recursive: true })) {
    if (!name.endsWith('/record.json')) continue;
    const file = join(instances, name);
    if (dirname(file).includes(`-${service}-`)) return file;
  }
  throw new Error(`There is no record of ${service}.`);
}

async function servingFileWith(service: string): Promise<string> {
  const ledger = join(under.directory, 'ledger');
  for (const name of await readdir(ledger)) {
    const file = join(ledger, name, 'serving.json');
    if ((await readFile(file, 'utf8')).includes(`"${service}"`)) return file;
  }
  throw new Error(`Nobody says who serves ${service}.`);
}

/** The marks of what this test runs. */
async function marks(): Promise<string[]> {
  const suffix = `-${sha256Hex(instances).slice(0, 8)}`;
  return [...markedProcesses().keys()].filter((mark) => mark.endsWith(suffix)).sort();
}

async function killAll(): Promise<void> {
  const mine = await marks();
  for (const [mark, processes] of markedProcesses()) {
    const groups = mine.includes(mark) ? new Set(processes.map(({ group }) => group)) : [];
    for (const group of groups) process.kill(-group, 'SIGKILL');
  }
}
