import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, onTestFinished, test } from 'vitest';

import { parseConfig } from '../src/config/config.ts';
import { families } from '../src/config/families.ts';

const shop = fileURLToPath(new URL('../examples/shop', import.meta.url));
const changes = fileURLToPath(new URL('../examples/shop-changes', import.meta.url));

test.each(['towpath.yaml', 'towpath.docker.yaml'])('%s is a good configuration', async (file) => {
  const config = parseConfig(await readFile(join(shop, file)), families, file);
  expect(Object.keys(config.environments)).toEqual(['preview', 'dev', 'qa', 'demo', 'prod']);
  for (const { path } of Object.values(config.services)) expect(await readdir(join(shop, path))).not.toEqual([]);
});

test('the same path is told with and without Docker', async () => {
  const [plain, docker] = await Promise.all(
    ['towpath.yaml', 'towpath.docker.yaml'].map(async (file) =>
      parseConfig(await readFile(join(shop, file)), families),
    ),
  );
  const onDocker = Object.entries(plain?.environments ?? {}).map(([name, environment]) => [
    name,
    { ...environment, deploy: { ...environment.deploy, driver: 'docker' } },
  ]);
  expect(docker?.environments).toEqual(Object.fromEntries(onDocker));
  expect(docker?.services).toMatchObject(plain?.services ?? {});
});

test('the checks of the shop pass', async () => {
  const folder = await copyOfShop();
  expect(await runTests(join(folder, 'services/web'))).toMatchObject({ code: 0 });
  expect(await runTests(join(folder, 'services/worker'))).toMatchObject({ code: 0 });
});

test('each change of the story does what the story says', async () => {
  const folder = await copyOfShop('cheaper-tea');
  expect(await runTests(join(folder, 'services/web'))).toMatchObject({ code: 0 });
  await cp(join(changes, 'broken-total'), folder, { recursive: true });
  const broken = await runTests(join(folder, 'services/web'));
  expect(broken).toMatchObject({ code: 1 });
  expect(broken.output.match(/^not ok/gm)).toHaveLength(1);
  await cp(join(changes, 'cheaper-tea'), folder, { recursive: true });
  await cp(join(changes, 'own-currency-table'), folder, { recursive: true });
  expect(await runTests(join(folder, 'services/web'))).toMatchObject({ code: 0 });
  expect(await checkout(join(folder, 'services/web'), 'USD')).toBe(200);
  expect(await checkout(join(folder, 'services/web'), 'EUR')).toBe(500);
});

async function copyOfShop(...overlaid: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shop-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await cp(shop, folder, { recursive: true });
  for (const change of overlaid) await cp(join(changes, change), folder, { recursive: true });
  for (const service of ['web', 'worker'])
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], join(folder, 'services', service));
  return folder;
}

function runTests(folder: string): Promise<{ code: number | null; output: string }> {
  return run(process.execPath, ['--test', '--test-reporter=tap'], folder);
}

async function checkout(folder: string, currency: string): Promise<number> {
  const script = `
    import { createShop } from './src/shop.js';
    const shop = createShop({ currency: ${JSON.stringify(currency)}, banner: '' }).listen(0, '127.0.0.1', async () => {
      const { status } = await fetch('http://127.0.0.1:' + shop.address().port + '/checkout?item=tea&count=2');
      console.log('status ' + status);
      shop.close();
      shop.closeAllConnections();
    });`;
  const { output } = await run(process.execPath, ['--input-type=module', '-e', script], folder);
  return Number(/status (\d+)/.exec(output)?.[1]);
}

async function run(program: string, args: string[], cwd: string): Promise<{ code: number | null; output: string }> {
  const { NODE_OPTIONS: _, NODE_TEST_CONTEXT: __, ...env } = process.env;
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}
