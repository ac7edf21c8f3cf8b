import fc from 'fast-check';
import { expect, test } from 'vitest';

import { parseConfig } from './config.ts';
import { families } from './families.ts';
import { planStarter, type Survey, writeStarter } from './starter.ts';

function survey(texts: Record<string, string>, more: Partial<Survey> = {}): Survey {
  return { name: 'courier', branch: 'main', files: Object.keys(texts), read: (path) => texts[path] ?? null, ...more };
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
