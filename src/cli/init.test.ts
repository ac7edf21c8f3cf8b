import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { asked } from './io.ts';
import { runLine } from './testing/run.ts';

const run = promisify(execFile);
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-init-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function repository(): Promise<void> {
  await run('git', ['init', '--quiet', '--initial-branch=master', folder]);
  await mkdir(join(folder, 'api'));
  await mkdir(join(folder, 'built'));
  await writeFile(join(folder, '.gitignore'), 'built/\n');
  await writeFile(join(folder, 'built', 'package.json'), '{"main":"server.js"}');
  await writeFile(join(folder, 'built', 'server.js'), '');
  await writeFile(join(folder, 'api', 'package.json'), '{"scripts":{"start":"node server.js"}}');
  await writeFile(join(folder, 'api', 'server.js'), 'listen(process.env.PORT)');
}

test('a first towpath.yaml is written from what git would take in, and can be read', async () => {
  await repository();
  const { exit, out } = await runLine(['init', folder]);
  expect({ exit, out }).toMatchObject({ exit: 0, out: expect.stringContaining('1 service (api)') });
  const text = await readFile(join(folder, 'towpath.yaml'), 'utf8');
  expect(text).toContain('path: api');
  expect(text).toContain('merge: master');
  const read = await runLine(['validate', folder]);
  expect(read).toMatchObject({ exit: 0, out: expect.stringContaining('api by the node builder') });
  expect(read.out).toContain('takes tag v*');
});

test('only what cannot be seen is asked, and nothing with --yes', async () => {
  await run('git', ['init', '--quiet', '--initial-branch=main', folder]);
  await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\n');
  const asked: string[] = [];
  const answer = (question: string): string => (asked.push(question), '8080');
  const silent = await runLine(['init', folder, '--stdout', '--yes'], { answer });
  expect(asked).toEqual([]);
  expect(silent.out).not.toContain('port:');
  expect((await runLine(['init', folder, '--stdout'], { answer })).out).toContain('port: 8080');
  expect(asked).toEqual([expect.stringContaining('On which port does')]);
});

test('an answer that is no port is asked again', async () => {
  await run('git', ['init', '--quiet', '--initial-branch=main', folder]);
  await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\n');
  const questions: string[] = [];
  const answers = ['http', '70000', '8080'];
  const answer = (question: string): string => (questions.push(question), answers[questions.length - 1] ?? '');
  expect((await runLine(['init', folder, '--stdout'], { answer })).out).toContain('port: 8080');
  expect(questions).toHaveLength(3);
  expect(questions[2]).toContain('A port is a number from 1 to 65535');
});

test('nothing is asked where the answer could not be written', async () => {
  await run('git', ['init', '--quiet', '--initial-branch=main', folder]);
  await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\n');
  await writeFile(join(folder, 'towpath.yaml'), 'mine\n');
  const asked: string[] = [];
  const refused = await runLine(['init', folder], { answer: (question) => (asked.push(question), '8080') });
  expect({ asked, refused }).toMatchObject({ asked: [], refused: { exit: 1 } });
});

test.each(['\u0003', '\u0004'])('who is asked may leave (%j), and that is no failure of Towpath', async (key) => {
  const input = new PassThrough();
  const answer = asked(
    'Which? ',
    new AbortController().signal,
    input,
    Object.assign(new PassThrough(), { isTTY: true }),
  );
  input.write(key);
  await expect(answer).rejects.toMatchObject({ code: 'cli.cancelled' });
});

test('what is there is not written over unless that is asked for', async () => {
  await repository();
  await writeFile(join(folder, 'towpath.yaml'), 'mine\n');
  const refused = await runLine(['init', folder, '--json']);
  expect(refused).toMatchObject({ exit: 1, out: '' });
  expect(JSON.parse(refused.err)).toMatchObject({ code: 'cli.file-exists' });
  expect((await runLine(['init', folder, '--stdout'])).out).toContain('services:');
  expect(await readFile(join(folder, 'towpath.yaml'), 'utf8')).toBe('mine\n');
  expect((await runLine(['init', folder, '--force'])).exit).toBe(0);
  expect(await readFile(join(folder, 'towpath.yaml'), 'utf8')).toContain('services:');
});

test('where there is no repository, or nothing to build, that is said', async () => {
  expect((await runLine(['init', folder])).err).toContain('is not the root of a git repository');
  await run('git', ['init', '--quiet', folder]);
  expect((await runLine(['init', folder])).err).toContain('Nothing in');
});

test('a mistake is told with its place and the word that was meant', async () => {
  await writeFile(join(folder, 'towpath.yaml'), 'project: shop\nservcies: {}\n');
  const { exit, err } = await runLine(['validate', folder]);
  expect(exit).toBe(1);
  expect(err).toContain('towpath.yaml:2:1');
  expect(err).toContain('did you mean "services"?');
  expect((await runLine(['validate', join(folder, 'none')])).exit).toBe(64);
});
