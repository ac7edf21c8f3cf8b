import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { composeProgram, type ComposeProgramParts } from './program.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-program-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const signal = new AbortController().signal;
const run = { doing: 'do it', signal };

/** A program where Docker keeps its plugins, or any place: it says a version, then does what the script says. */
async function program(script: string, { version = '2.40.3', name = 'docker-compose' } = {}): Promise<string> {
  const path = join(directory, name);
  await writeFile(
    path,
    `#!${process.execPath}\nif (process.argv[2] === 'version') console.log('v${version}');\nelse { ${script} }\n`,
  );
  await chmod(path, 0o755);
  return path;
}

const start = (parts: Partial<ComposeProgramParts> = {}) =>
  composeProgram({ environment: { PATH: directory }, home: join(directory, 'home'), ...parts });

test('it is found on the path, and what it prints comes back', async () => {
  await program("console.log('it did ' + process.argv.slice(2))");
  expect(await start()(['config', '$(id)', 'a b'], run)).toBe('it did config,$(id),a b\n');
});

test.each(['2.19.9', '1.29.2', 'nonsense'])('one of version %s is refused', async (version) => {
  await program('', { version });
  await expect(start()(['config'], run)).rejects.toMatchObject({ code: 'compose.too-old' });
});

test.each(['2.20.0', '5.5.0'])('one of version %s is taken', async (version) => {
  await program('', { version });
  expect(await start()(['config'], run)).toBe('');
});

test('where there is none that is told, and it is looked for again', async () => {
  const path = join(directory, 'later');
  const compose = start({ path });
  await expect(compose(['config'], run)).rejects.toMatchObject({ code: 'compose.no-program' });
  await program("console.log('here')", { name: 'later' });
  expect(await compose(['config'], run)).toBe('here\n');
});

test('it gets an environment of its own: the variables of a run never mean anything to the program itself', async () => {
  await program('console.log(JSON.stringify(process.env))');
  const environment = { PATH: directory, HOME: '/root', DOCKER_HOST: 'unix:///d.sock', TOWPATH_TOKEN: 'a-token' };
  const variables = { A: '1', PATH: '/evil', docker_host: 'tcp://evil', COMPOSE_FILE: '/evil', LD_PRELOAD: '/evil' };
  const env = JSON.parse(await start({ environment })(['config'], { ...run, variables })) as Record<string, string>;
  expect(env).toMatchObject({ A: '1', PATH: directory, HOME: join(directory, 'home'), DOCKER_HOST: 'unix:///d.sock' });
  expect(JSON.stringify(env)).not.toMatch(/evil|a-token/);
});

test('what it said last is told when it fails, and never how it was started', async () => {
  await program("console.error('a warning\\n\\u001b[31mit is broken.\\u001b[0m'); process.exit(3)");
  const failure = await start()(['config', 'an-argument'], { ...run, input: 'an-input' }).catch(
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({ code: 'compose.failed', what: 'Docker Compose could not do it: it is broken.' });
  expect(JSON.stringify(failure)).not.toMatch(/an-argument|an-input/);
});

test('one that hangs or prints without end is ended, with all that it started', async () => {
  await program(
    "require('node:child_process').spawn('sleep', ['600'], { stdio: 'inherit' }); setInterval(() => 0, 1000)",
  );
  await expect(start()(['config'], { ...run, timeoutMs: 300 })).rejects.toMatchObject({ code: 'compose.failed' });
  const stop = new AbortController();
  const going = start()(['config'], { ...run, signal: stop.signal });
  stop.abort(new Error('called off'));
  await expect(going).rejects.toThrow('called off');
  await program("const more = () => process.stdout.write('x'.repeat(1 << 20), more); more()");
  await expect(start()(['config'], run)).rejects.toMatchObject({ code: 'compose.failed' });
});
