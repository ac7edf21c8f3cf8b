import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { EnvironmentDetail } from '../src/flow/view/environment.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program } from './testing/small-shop.ts';
import { ifMissing, type Story, storyOf } from './testing/story.ts';

// Repositories of quite different make go from `towpath init --yes` to the last environment as that wrote it.
const run = promisify(execFile);

let server: TestServer;
const repositories: TestRepository[] = [];

beforeAll(async () => {
  server = await startServer();
}, 180_000);

afterAll(async () => {
  await server.dispose();
  await Promise.all(repositories.map((repository) => repository.remove()));
});

test('npm workspaces with functions: each service with the packages that it imports, and its tests', async () => {
  const { repository, story } = await begin('Workspaces', {
    'package.json': JSON.stringify({ private: true, workspaces: ['services/*', 'packages/*'] }),
    'services/api/package.json': JSON.stringify({
      name: '@shop/api',
      scripts: { start: 'node main.js', test: 'node --test' },
      dependencies: { '@shop/money': '*', ms: '2.1.3' },
    }),
    'services/api/main.js': program('').replace('""', "require('@shop/money').euros(require('ms')('1s'))"),
    'services/api/test/money.test.js': `require('node:test').test('money', () => require('node:assert').equal(require('@shop/money').euros(2), '2 EUR'));`,
    'services/jobs/package.json': JSON.stringify({ name: '@shop/jobs', main: 'main.js' }),
    'services/jobs/main.js': "process.once('SIGTERM', () => process.exit()); setInterval(() => {}, 1000);",
    'packages/money/package.json': JSON.stringify({ name: '@shop/money', version: '1.0.0', main: 'index.js' }),
    'packages/money/index.js': 'exports.euros = (amount) => `${amount} EUR`;',
    'functions/thumbs/serverless.yml':
      'service: thumbs\nprovider: { runtime: nodejs22.x }\nfunctions: { thumb: { handler: thumb.handler } }\n',
    'functions/thumbs/thumb.js': 'exports.handler = async () => 1;',
  });
  const lock = ['install', '--package-lock-only', '--ignore-scripts', '--no-audit', '--no-fund'];
  await run('npm', lock, { cwd: repository.directory });
  await repository.git('tag', '1.0.0'); // versions are called so here
  expect(await init(repository)).toContain('3 services (thumbs, api, jobs)');
  const prod = await toProd(repository, story, '1.1.0');
  expect(prod.services.map(({ service }) => service)).toEqual(['api', 'jobs', 'thumbs']);
  expect(await said(prod, 'api')).toBe('1000 EUR');
}, 600_000);

test('a Dockerfile of Python upon a base image of the repository itself', async () => {
  const { repository, story } = await begin('Python', {
    'services/report/Dockerfile': 'FROM python-base\nCOPY app.py /app.py\nEXPOSE 8080\nCMD ["/app.py"]\n',
    'services/report/app.py': PYTHON,
  });
  await packPython(join(repository.directory, 'images/python-base'));
  expect(await init(repository)).toContain('2 services (python-base, report)');
  const prod = await toProd(repository, story, 'v1');
  expect(prod.services.map(({ service }) => service)).toEqual(['report']);
  expect(await said(prod, 'report')).toBe('hello from python');
}, 600_000);

test('a repository with a submodule and files of Git LFS: never followed, left out, and refused where they are wanted', async () => {
  const { repository, story } = await begin('Parts from elsewhere', {
    'web/index.js': program('without its theme'),
    'web/package.json': '{ "main": "index.js" }',
    'web/logo.png': `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 12345\n`,
    '.gitattributes': '*.png filter=lfs diff=lfs merge=lfs -text\n',
    '.gitmodules': '[submodule "theme"]\n\tpath = web/theme\n\turl = https://git.invalid/theme\n',
  });
  await mkdir(join(repository.directory, 'web/theme'));
  await repository.git('update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},web/theme`);
  await repository.git('commit', '--quiet', '--message', 'A theme from elsewhere');
  expect(await init(repository)).toContain('its build leaves out theme, logo.png:');
  const prod = await toProd(repository, story, 'v1');
  expect(await said(prod, 'web')).toBe('without its theme');

  const config = await readFile(join(repository.directory, 'towpath.yaml'), 'utf8');
  for (const [wanted, what] of [
    ['[theme]', 'web/logo.png is a pointer of Git LFS'],
    ['[logo.png]', 'web/theme is a submodule'],
  ] as const) {
    const commit = await repository.commit('All of it', {
      'towpath.yaml': config.replace('[theme, logo.png]', wanted),
    });
    expect((await story.release(commit, 'failed')).problem?.what).toContain(what.replace('web/', ''));
  }
}, 600_000);

async function begin(
  subject: string,
  files: Record<string, string>,
): Promise<{ repository: TestRepository; story: Story }> {
  const repository = await createRepository();
  repositories.push(repository);
  await repository.commit(subject, files);
  return { repository, story: storyOf(server, projectOf(repository)) };
}

/** `init` calls a project as its folder is called. */
function projectOf({ directory }: TestRepository): string {
  return (
    basename(directory)
      .toLowerCase()
      .match(/[a-z0-9]+/g) ?? []
  )
    .join('-')
    .slice(0, 36)
    .replace(/-$/, '');
}

async function init({ directory }: TestRepository): Promise<string> {
  const { code, stdout, stderr } = await server.cli('init', directory, '--yes');
  if (code !== 0) throw new Error(stderr);
  return `${stdout}${stderr}`;
}

/** The usual way: commit what was written, have it watched, tag a version. */
async function toProd(repository: TestRepository, story: Story, tag: string): Promise<EnvironmentDetail> {
  const commit = await repository.commit('Deliver with Towpath');
  await server.client.call('project.add', { body: { url: repository.url } });
  const release = await until(
    async () => (await story.releasesOf(commit).catch(ifMissing))?.find(({ state }) => state !== 'building') ?? null,
    240_000,
  );
  expect(release.problem).toBeNull(); // else its log says more: `towpath logs`
  await story.live('qa', commit);
  await repository.git('tag', tag);
  return story.live('prod', commit);
}

async function said({ services }: EnvironmentDetail, service: string): Promise<string> {
  const url = services.find((one) => one.service === service)?.url ?? '';
  return (await fetch(url)).text();
}

const PYTHON = `
import http.server, os, signal, sys

class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'hello from python')

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.HTTPServer(('', int(os.environ['PORT'])), Hello).serve_forever()
`;

/** As much of this machine's Python as the program above needs, with its libraries: no hub can be asked for one. */
async function packPython(directory: string): Promise<void> {
  const { stdout: printed } = await run('python3', ['-c', NEEDED]);
  const [executable = '', ...modules] = printed.trim().split('\n');
  const { stdout: linked } = await run('ldd', [executable, ...modules.filter((path) => path.endsWith('.so'))]);
  const libraries = new Set([...linked.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path ?? ''));
  const folders = join(directory, 'folders');
  for (const name of ['dev', 'etc', 'mnt', 'proc', 'run', 'sys', 'tmp'])
    await mkdir(join(folders, name), { recursive: true });
  const paths = [executable, ...modules, ...libraries].map((path) => path.slice(1));
  await run('tar', ['-czhf', join(directory, 'python.tar.gz'), '-C', folders, '.', '-C', '/', ...paths]);
  await rm(folders, { recursive: true });
  const lines = ['FROM scratch', 'ADD python.tar.gz /', `ENTRYPOINT ${JSON.stringify([executable])}`, ''];
  await writeFile(join(directory, 'Dockerfile'), lines.join('\n'));
}

const NEEDED = `
import sys, sysconfig
import http.server, os, signal, email.parser, encodings.idna, encodings.latin_1, html
print(os.path.realpath(sys.executable))
library = sysconfig.get_path('stdlib')
paths = {getattr(module, '__file__', None) for module in list(sys.modules.values())}
print('\\n'.join(sorted(path for path in paths if path and path.startswith(library))))
`;
