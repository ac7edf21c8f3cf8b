import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { createRepository, type TestRepository } from './testing/repository.ts';
import { program as towpath, startServer, type TestServer } from './testing/server.ts';
import { program } from './testing/small-shop.ts';
import { storyOf } from './testing/story.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));

const CONFIG = `
project: own
services: { web: { path: ., build: { node: { start: main.js } }, port: 3000 } }
environments:
  prod: { on: { merge: main }, deploy: { files: { host: shop-1 } }, settle: 100ms }
`;

/** What the example asks for in its package.json besides Towpath; and what they need to be found. */
const PACKAGES = ['zod', 'vitest', 'typescript', '@types/node', 'undici-types'];

let folder: string;
let server: TestServer | undefined;
let repository: TestRepository | undefined;

/** `examples/driver` in a folder of its own, with the package of Towpath as `npm pack` makes it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-own-driver-'));
  await cp(join(root, 'examples/driver'), folder, { recursive: true });
  await run(process.execPath, [join(root, 'tools/declarations.js')]);
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: root,
  });
  const [packed] = JSON.parse(stdout) as [{ filename: string }];
  const installed = join(folder, 'node_modules/towpath');
  await mkdir(installed, { recursive: true });
  await run('tar', ['-xzf', join(folder, packed.filename), '--strip-components=1', '-C', installed]);
  for (const name of PACKAGES) {
    const link = join(folder, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(root, 'node_modules', name), link);
  }
}, 120_000);

afterAll(async () => {
  await server?.dispose();
  await repository?.remove();
  await rm(folder, { recursive: true, force: true });
});

test('a driver in TypeScript compiles by the declarations of the package, each of them checked', async () => {
  const { compilerOptions } = JSON.parse(await readFile(join(folder, 'tsconfig.json'), 'utf8')) as {
    compilerOptions: Record<string, unknown>;
  };
  expect(compilerOptions['skipLibCheck']).toBe(false);
  await run(process.execPath, ['node_modules/typescript/bin/tsc'], { cwd: folder }).catch(
    (error: { stdout: string }) => {
      throw new Error(error.stdout);
    },
  );
  expect(await readdir(join(folder, 'dist'))).toContain('files.js');
});

test('it passes the conformance kit of the package', async () => {
  const times = ['--testTimeout=180000', '--hookTimeout=120000'];
  const argv = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=json', ...times];
  const { stdout } = await run(process.execPath, argv, { cwd: folder }).catch((error: { stdout: string }) => error);
  const told = JSON.parse(stdout) as {
    numFailedTests: number;
    testResults: { assertionResults: { title: string; status: string }[] }[];
  };
  const results = told.testResults.flatMap(({ assertionResults }) => assertionResults);
  const titlesOf = (status: string): string[] => results.flatMap((one) => (one.status === status ? [one.title] : []));
  expect(titlesOf('failed')).toEqual([]);
  expect(titlesOf('passed')).toContain('killed between any two steps, the rollout ends as it would have');
  for (const title of titlesOf('skipped')) expect(title).toContain('it lacks');
});

test('a server whose operator names it deploys by it, and says that what runs is not observed', async () => {
  const driver = join(folder, 'dist/files.js');
  const started = await startServer({ env: { TOWPATH_DRIVERS: driver } });
  server = started;
  repository = await createRepository();
  const commit = await repository.commit('A shop', { 'towpath.yaml': CONFIG, 'main.js': program('hello') });
  await started.client.call('project.add', { body: { url: repository.url } });
  const [web] = (await storyOf(started, 'own').live('prod', commit)).services;
  const environments = join(started.data, 'drivers/files/environments');
  const [place = ''] = await readdir(environments);
  const [name = ''] = await readdir(join(environments, place, 'current'));
  const written: unknown = JSON.parse(await readFile(join(environments, place, 'current', name), 'utf8'));
  expect(written).toMatchObject({ service: 'web', host: 'shop-1', digest: web?.digest });
});

test('without it the configuration is refused; with it, settings are checked and told to editors', async () => {
  const driver = join(folder, 'dist/files.js');
  const file = join(folder, 'towpath.yaml');
  const validate = async (text: string, ...args: string[]): Promise<string> => {
    await writeFile(file, text);
    return run(process.execPath, [towpath, 'validate', file, ...args]).then(
      ({ stdout }) => stdout,
      ({ stderr }: { stderr: string }) => stderr,
    );
  };
  expect(await validate(CONFIG)).toContain('expected exactly one driver, one of process');
  expect(await validate(CONFIG, '--driver', driver)).toContain('it can be read');
  expect(await validate(CONFIG.replace('host:', 'hots:'), '--driver', driver)).toContain('did you mean "host"?');
  expect(await validate(CONFIG.replace('settle:', 'config: { A: b }, settle:'), '--driver', driver)).toContain(
    'no `config` beside `deploy: files`',
  );
  expect(await validate(CONFIG, '--schema', '--driver', driver)).toContain('The machine that shall run it');
  expect(await validate(CONFIG, '--driver', `${driver}x`)).toContain('There is no driver in');
});
