import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { dockerHost } from '../tools/test-machine/machine.ts';
import { environmentOfDemo, NO_DOCKER, playDemo } from './testing/demo.ts';
import { program } from './testing/server.ts';

const LONG = { timeout: 900_000 };

test('the demo plays its whole story without Docker, and leaves nothing behind', LONG, async () => {
  const { code, stdout, stderr } = await playDemo(NO_DOCKER);
  expect(stderr).toBe('');
  expect(stdout).toContain('services run as processes');
  expect(stdout).toContain('from nothing to prod took');
  expect(stdout).toMatch(/nothing moves in until somebody says so/);
  expect(code).toBe(0);
  const folder = /keeps all it has in (\S+)/.exec(stdout)?.[1] ?? '/';
  await expect(access(folder)).rejects.toThrow(/ENOENT/);
});

test('where a Docker Engine answers, the same story is told with containers', LONG, async () => {
  const { code, stdout, stderr } = await playDemo(await dockerHost());
  expect(stderr).toBe('');
  expect(stdout).toContain('services run in containers');
  expect(stdout).toMatch(/^ +receipt +[0-9a-f]{12}/m);
  expect(code).toBe(0);
});

test('a demo that nobody listens to any more takes away what it made', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'towpath-demo-unheard-'));
  const child = spawn(process.execPath, [program, 'demo', '--ci', '--data', folder], {
    env: environmentOfDemo(NO_DOCKER),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const gone = once(child, 'close');
  for await (const chunk of child.stdout) if (String(chunk).includes('It listens on')) break; // that closes the pipe
  expect(await gone).toEqual([2, null]);
  await expect(access(folder)).rejects.toThrow(/ENOENT/);
}, 120_000);

test('a folder that is not empty is not made the demo’s own, for it would be removed', async () => {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const { code, stderr } = await playDemo(NO_DOCKER, '--data', folder);
  expect(code).toBe(1);
  expect(stderr).toContain('is not empty');
  await access(join(folder, 'demo.test.ts'));
});
