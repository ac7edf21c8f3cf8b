import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';

import { driverFiles } from './driver-files.ts';
import { DRIVER_API, type DriverModule } from './driver-module.ts';
import { loadDrivers } from './load-drivers.ts';
import { makeDriver } from './make-driver.ts';
import { driverTools } from './tools.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-drivers-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const zod = import.meta.resolve('zod');
const WELL = {
  api: String(DRIVER_API),
  name: "'nomad'",
  config: 'z.strictObject({ job: z.string() })',
  lacks: "['output', 'jobs', 'isolation']",
  make: '() => ({})',
};
let files = 0;

/** A module with a driver that is well but for what is given. */
async function moduleWith(changes: Partial<Record<keyof typeof WELL, string>>): Promise<string> {
  const parts = Object.entries({ ...WELL, ...changes }).map(([name, value]) => `  ${name}: ${value},\n`);
  return fileWith(`import { z } from '${zod}';\nexport default {\n${parts.join('')}};\n`);
}

async function fileWith(text: string): Promise<string> {
  const file = join(folder, `driver-${(files += 1)}.mjs`);
  await writeFile(file, text);
  return file;
}

test('a driver is the default export of a file, and reads its settings', async () => {
  const [driver] = await loadDrivers([await moduleWith({})], ['docker']);
  expect(driver).toMatchObject({ name: 'nomad', lacks: ['output', 'jobs', 'isolation'] });
  expect(driver?.config.safeParse({ job: 'shop' }).success).toBe(true);
  expect(driver?.config.safeParse({ jop: 'shop' }).success).toBe(false);
});

test.each<[string, Partial<Record<keyof typeof WELL, string>>, string, string]>([
  ['another version of the contract', { api: '2' }, 'driver.version', 'version 2 of the contract'],
  ['no version', { api: 'undefined' }, 'driver.invalid', 'its default export.api has to be a whole number'],
  ['a name that could not be written', { name: "'No Mad'" }, 'driver.invalid', 'its default export.name has to be'],
  ['the name of another', { name: "'docker'" }, 'driver.name-taken', 'is called "docker"'],
  ['no schema', { config: '{}' }, 'driver.invalid', 'its default export.config has to be a schema of Zod 4'],
  ['a lack that nobody knows', { lacks: "['speed']" }, 'driver.invalid', 'has to be words out of: replicas'],
  ['silence about what it lacks', { lacks: 'undefined' }, 'driver.invalid', 'an empty one for nothing'],
  ['nothing that makes it', { make: '{}' }, 'driver.invalid', 'its default export.make has to be a function'],
])('%s is refused', async (_, changes, code, what) => {
  await expect(loadDrivers([await moduleWith(changes)], ['docker'])).rejects.toMatchObject({
    code,
    what: expect.stringContaining(what) as string,
  });
});

test('what is no driver at all is refused, and says why', async () => {
  const of = (file: string) => loadDrivers([file], []);
  await expect(of(join(folder, 'none.mjs'))).rejects.toMatchObject({ code: 'driver.not-found' });
  await expect(of(folder)).rejects.toMatchObject({ code: 'driver.not-found' });
  await expect(of(await fileWith('export const driver = {};'))).rejects.toMatchObject({
    code: 'driver.invalid',
    what: expect.stringContaining('its default export has to be an object with `api`') as string,
  });
  await expect(of(await fileWith(`import '${join(folder, 'gone.mjs')}';`))).rejects.toMatchObject({
    code: 'driver.invalid',
    what: expect.stringContaining('it cannot be loaded') as string,
  });
});

test('two drivers of one name are refused', async () => {
  const both = [await moduleWith({}), await moduleWith({})];
  await expect(loadDrivers(both, [])).rejects.toMatchObject({ code: 'driver.name-taken' });
});

test('a driver that is not as it says of itself is refused before it is used', () => {
  const tools = driverTools({
    directory: join(folder, 'nomad'),
    secretOf: () => Promise.reject(new Error('There is none.')),
    credentials: () => Promise.resolve(null),
  });
  const says = { api: DRIVER_API, name: 'nomad', config: z.strictObject({}) };
  const work = {
    plan: () => [],
    apply: () => Promise.resolve(),
    observe: () => Promise.resolve({ services: {} }),
    destroy: () => Promise.resolve(),
  };
  const whatOf = (module: Partial<DriverModule>): string => {
    try {
      makeDriver({ ...says, lacks: ['output', 'jobs'], make: () => work, ...module }, tools);
      return 'it is taken';
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(whatOf({})).toBe('it is taken');
  expect(whatOf({ lacks: ['jobs'] })).toContain('has no `output`, and does not say that it lacks it');
  expect(
    whatOf({ make: () => ({ ...work, jobs: { run: () => Promise.reject(), forget: () => Promise.resolve() } }) }),
  ).toContain('has `jobs`, and says that it lacks it');
  const { observe: _observe, ...blind } = work;
  expect(whatOf({ make: () => blind as typeof work })).toContain('what `make` gives has no `observe`');
});

test('files are named by options and by a variable, each once', () => {
  expect(driverFiles(['/opt/a.js'], '/opt/b.js, /opt/a.js,')).toEqual(['/opt/a.js', '/opt/b.js']);
  expect(driverFiles([], undefined)).toEqual([]);
});
