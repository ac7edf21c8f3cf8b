import fc from 'fast-check';
import { expect, test } from 'vitest';

import { parseConfig } from '../config.ts';
import { families } from '../families.ts';
import { planStarter } from './starter.ts';
import type { Survey } from './survey.ts';
import { writeStarter } from './write.ts';

function survey(texts: Record<string, string>, more: Partial<Survey> = {}): Survey {
  return {
    name: 'courier',
    branch: 'main',
    branches: [],
    tags: [],
    submodules: [],
    lfs: [],
    docker: true,
    files: Object.keys(texts),
    read: (path) => texts[path] ?? null,
    ...more,
  };
}

test('programs that Node starts and folders with a Dockerfile become services', () => {
  const starter = planStarter(
    survey({
      'services/api/package.json': JSON.stringify({ scripts: { start: 'node src/main.js', test: 'node --test' } }),
      'services/api/src/main.js': `if (url === '/healthz') ok(); server.listen(process.env.PORT);`,
      'services/mailer/package.json': JSON.stringify({ main: './index.js', scripts: { test: 'vitest run' } }),
      'services/mailer/index.js': 'setInterval(send, 1000);',
      'shop/Dockerfile': 'FROM scratch\nEXPOSE 8080/tcp\n',
    }),
  );
  expect(writeStarter(starter)).toBe(`project: courier
services:                     # each is built on its own, and anew only when its folder changes
  api:
    path: services/api
    build: { node: { start: src/main.js } }
    port: 3000
    health: /healthz
    checks:
      unit: { run: "node --test", during: build }
  mailer:
    path: services/mailer
    build: { node: { start: index.js } }
    checks:
      unit: { run: "node node_modules/vitest/vitest.mjs run", during: build }
  shop:
    path: shop
    build: { dockerfile: {} }
    port: 8080
environments:                 # in the order of the path
  preview: { on: { branch: "feature/*" }, ephemeral: { ttl: 14d }, deploy: docker }
  qa:      { on: { merge: main }, deploy: docker }
  prod:    { on: { tag: "v*" }, from: qa, deploy: docker }
# What is usual next: take the hash away and put it into the environment that it speaks of.
#   qa:   gates: [unchanged, unit]          # only the very images that a branch was tested with
#   prod: gates: [{ soak: 1h }]         # it ran in qa for so long
#   prod: gates: [{ approvals: { of: release-managers, count: 1 } }]
# roles: { release-managers: [ana] }    # beside \`services\`: who may approve
`);
  expect(starter.notes).toEqual([]);
});

test('what is missing for a build is said, and what cannot be started is named', () => {
  const { services, notes } = planStarter(
    survey({
      'package.json': JSON.stringify({ workspaces: ['packages/*'], scripts: { start: 'turbo run start' } }),
      'packages/api/package.json': JSON.stringify({ main: 'server.js', dependencies: { fastify: '5' } }),
      'packages/api/server.js': 'app.listen(8080)',
      'packages/ui/package.json': 'not json',
      'test/package.json': JSON.stringify({ main: 'index.js' }),
      'test/index.js': '',
    }),
  );
  expect(services.map(({ name }) => name)).toEqual(['api']);
  expect(notes).toEqual([
    expect.stringContaining('.: has a package.json, and nothing in it that Node alone starts'),
    'api: it has to listen on the port that `PORT` names.',
    expect.stringContaining('api: it has dependencies and no package-lock.json'),
    expect.stringContaining('packages/ui: has a package.json'),
  ]);
});

test('npm workspaces, functions and base images of the repository are seen for what they are', () => {
  const files = {
    'package.json': JSON.stringify({ workspaces: ['services/*', 'packages/*'] }),
    'package-lock.json': '{}',
    'services/api/package.json': JSON.stringify({
      scripts: { start: 'node --enable-source-maps src/main.js', test: 'node --test' },
      dependencies: { '@shop/money': '*', express: '5' },
    }),
    'services/api/src/main.js': 'listen(process.env.PORT)',
    'services/api/test/a.test.mjs': '',
    'packages/money/package.json': JSON.stringify({ name: '@shop/money', main: 'index.js' }),
    'packages/money/index.js': '',
    'services/texts/package.json': JSON.stringify({ name: '@shop/texts', exports: './index.js' }),
    'services/texts/index.js': 'export const hello = 1;',
    'functions/thumbs/serverless.yml': 'service: thumbs',
    'functions/thumbs/package.json': '{}',
    'images/python-base/Dockerfile': 'FROM debian:12',
    'report/Dockerfile': 'FROM python-base AS run\nCOPY . .',
    'compose.yaml': 'services: { report: { build: ./report, ports: ["80:9090"] }, db: { image: postgres } }',
    'deploy/prod/kustomization.yaml': '',
  };
  const { services, notes, driver, previews, tags } = planStarter(
    survey(files, { docker: false, branches: ['main', 'topic/a', 'topic/b', 'fix/c'], tags: ['1.0.0', '1.1.0', 'v0'] }),
  );
  expect({ driver, previews, tags }).toEqual({ driver: 'process', previews: 'topic/*', tags: '[0-9]*' });
  const none = { port: null, health: null, test: null };
  expect(services).toEqual([
    {
      name: 'python-base',
      path: 'images/python-base',
      build: { kind: 'dockerfile', file: 'Dockerfile', from: [], isBase: true },
      ...none,
    },
    { name: 'thumbs', path: 'functions/thumbs', build: { kind: 'serverless', exclude: [] }, ...none },
    {
      name: 'report',
      path: 'report',
      build: { kind: 'dockerfile', file: 'Dockerfile', from: ['python-base'], isBase: false },
      ...none,
      port: 9090,
    },
    {
      name: 'api',
      path: '.',
      build: {
        kind: 'node',
        start: ['node', '--enable-source-maps', 'services/api/src/main.js'],
        include: ['services/api', 'packages/money', '**/package.json'],
        exclude: [],
      },
      port: 3000,
      health: null,
      test: { run: ['node', '--test', 'services/api/test/*.test.mjs'], mount: 'services/api/test' },
    },
  ]);
  expect(notes).toEqual([
    'compose.yaml: db stay yours to run, and `config` of an environment tells services where; or let `deploy: compose` run them beside the release.',
    'deploy/prod: Kustomize; what rolls it out today goes on doing so, for no environment here does.',
  ]);
});

test('what a compose file builds is built from the same context, under the same name', () => {
  const { services, notes } = planStarter(
    survey({
      'compose.yml': `
services:
  db: { image: "postgres:18" }
  backend:
    build: { context: ., dockerfile: backend/Dockerfile, target: dev, args: { MODE: dev } }
    ports: ["8080:8000"]
  jobs: { build: { context: ., dockerfile: backend/Dockerfile }, command: jobs }
  vote: { build: ./poll/, expose: [80] }
  elsewhere: { build: "https://example.com/elsewhere.git" }
  above: { build: ../above }
`,
      'backend/Dockerfile':
        'FROM node:24 AS dev\nCOPY bun.lock /app/\nCOPY [\n"backend/app", "/app"]\nCOPY dist/api $FROM /api/\n',
      'backend/package.json': '{"main":"x.js"}',
      'backend/app/main.py': '',
      'bun.lock': '',
      'poll/Dockerfile': 'FROM scratch\nCOPY --from=x /out /\nADD https://example.com/a ./src/*.py /\n',
      'cart/src/Dockerfile': 'FROM scratch\nEXPOSE 7070\nCOPY . /\n',
      'one/web/Dockerfile': 'FROM scratch\nEXPOSE 80',
      'two/web/Dockerfile': 'FROM scratch\nEXPOSE 80',
    }),
  );
  expect(services.map(({ name, path, build, port }) => [name, path, 'file' in build && build.file, port])).toEqual([
    ['backend', '.', 'backend/Dockerfile', 8000],
    ['cart', 'cart/src', 'Dockerfile', 7070],
    ['web', 'one/web', 'Dockerfile', 80],
    ['vote', 'poll', 'Dockerfile', 80],
    ['two-web', 'two/web', 'Dockerfile', 80],
  ]);
  expect(notes).toEqual([
    expect.stringMatching(/^backend: its Dockerfile copies dist\/api, which git does not have/),
    'backend: compose.yml builds its stage "dev"; here the last one is built, or give `target`.',
    'backend: compose.yml gives its build arguments; give `args` if what is released needs them.',
    'backend: compose.yml runs the same image as jobs too; here it runs once.',
    expect.stringContaining('db, elsewhere, above stay yours to run'),
  ]);
});

test('no more services are written than one file describes well, and what is left out is one line', () => {
  const folders = Array.from({ length: 60 }, (_, at) => `f${100 + at}`);
  const { services, notes } = planStarter(
    survey(Object.fromEntries(folders.map((folder) => [`${folder}/Dockerfile`, 'EXPOSE 80']))),
  );
  expect(services).toHaveLength(50);
  expect(notes).toEqual(['10 more folders are left out, from f150 on: 50 services are written.']);
});

test('submodules and files of Git LFS are left out of a build, and that is told', () => {
  const texts = { 'web/index.js': 'PORT', 'web/package.json': '{"main":"index.js"}' };
  const more = { submodules: ['web/theme', 'other'], lfs: ['web/img/[a].png'] };
  const starter = planStarter(survey(texts, more));
  expect(starter.notes).toEqual([expect.stringMatching(/^web: its build leaves out theme, img/)]);
  const { services } = parseConfig(writeStarter(starter), families);
  expect(services['web']?.build.definition).toMatchObject({ exclude: ['theme', String.raw`img/\[a\].png`] });
});

const anyPath = fc
  .array(fc.oneof(fc.string({ minLength: 1, maxLength: 8 }), fc.constantFrom('api', 'on', 'n0', 'Ünïcode', '-', '1')), {
    maxLength: 3,
  })
  .map((parts) => parts.map((part) => part.replaceAll(/[/\\\p{Cc}]|^\.+$/gu, 'x')));

test('whatever is found, what is written is a configuration that Towpath reads as it was meant', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.stringMatching(/^[A-Za-z0-9_#@][A-Za-z0-9_#@-]{0,20}(\/[a-z0-9-]{1,9})?$/),
      fc.array(fc.tuple(anyPath, fc.constantFrom('Dockerfile', 'package.json'), fc.json()), { maxLength: 6 }),
      (name, branch, found) => {
        const texts: Record<string, string> = { 'web/package.json': '{"main":"web.js"}', 'web/web.js': 'PORT' };
        for (const [folder, file, text] of found) texts[[...folder, file].join('/')] = text;
        const starter = planStarter(survey(texts, { name, branch }));
        const { project, services } = parseConfig(writeStarter(starter), families);
        expect(project).toBe(starter.project);
        expect(Object.entries(services).map(([service, { path }]) => [service, path])).toEqual(
          starter.services.map((service) => [service.name, service.path]),
        );
      },
    ),
  );
});
