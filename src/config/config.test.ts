import { expect, test } from 'vitest';
import { z } from 'zod';

import { checks } from '../check/checks.ts';
import { parseConfig } from './config.ts';
import { families as realFamilies } from './families.ts';
import { ConfigError, type ConfigProblem } from './problem.ts';
import { families } from './testing/families.ts';

const SHOP = `project: shop
services:
  node-base: { path: images/node, base: { dockerfile: {} } }
  web:
    path: services/web/
    replicas: 1
    build: { node: { from: node-base, start: server.js } }
    port: 3000
    health: /healthz
    limits: { memory: 256M, cpus: 0.5 }
    checks:
      unit: { run: node --test, during: build, junit: reports/junit.xml }
      smoke: { http: { path: /healthz } }
  worker: { path: ./services/worker, build: { node: { start: worker.js } } }
  thumbnails: { path: functions/thumbnails, build: serverless }
roles: { release-managers: [ann, bob] }
base: { refresh: 7d }
environments:
  preview: { on: { branch: "*" }, ephemeral: {}, deploy: docker, config: { PREFIX: "\${branch.slug}_", SIZE: 3 } }
  dev: { on: manual, accepts: any, deploy: { docker: { network: dev } } }
  qa: { on: { merge: main }, gates: [unchanged, unit], deploy: process, onFailure: { rollback: true, yank: true } }
  prod:
    on: { tag: "v*" }
    from: qa
    gates: [{ approvals: { of: release-managers, count: 2, expires: 1d } }, { soak: 1h }]
    deploy: docker
    secrets: { DB: "env:DB_URL" }
    verify: [smoke]
    onFailure: hold
    settle: 10s
`;

const IDENTITIES = `identities:
  actions: { github: { repository: team/shop, refs: refs/heads/main, claims: { ref_protected: "true" } } }
  lab: { gitlab: { project: team/shop, issuer: "https://git.example", audience: towpath } }
`;

test('the whole of a file is read and normalised', () => {
  const config = parseConfig(SHOP, families);
  expect(config.project).toBe('shop');
  expect(config.path).toEqual(['preview', 'dev', 'qa', 'prod']);
  expect(Object.keys(config.environments)).toEqual(config.path);
  expect(config.services).toMatchObject({
    'node-base': {
      kind: 'base',
      path: 'images/node',
      build: { builder: 'dockerfile', definition: { file: 'Dockerfile' } },
    },
    thumbnails: { kind: 'zip', build: { builder: 'serverless', definition: {} } },
    worker: { kind: 'image', path: 'services/worker', replicas: 1, limits: {}, checks: {} },
  });
  expect(config.services['web']).toEqual({
    kind: 'image',
    path: 'services/web',
    build: { builder: 'node', definition: { from: 'node-base', start: 'server.js', exclude: [] } },
    bases: ['node-base'],
    port: 3000,
    health: { path: '/healthz', intervalMs: 500, timeoutMs: 2000, startMs: 30_000 },
    replicas: 1,
    limits: { memoryMb: 256, cpus: 0.5 },
    checks: {
      unit: {
        kind: 'command',
        during: 'build',
        always: false,
        timeoutMs: 600_000,
        retries: 0,
        with: [],
        backing: {},
        keep: [],
        type: null,
        definition: { run: 'node --test', junit: 'reports/junit.xml' },
      },
      smoke: {
        kind: 'http-probe',
        during: 'deployment',
        always: false,
        timeoutMs: 600_000,
        retries: 0,
        with: [],
        backing: {},
        keep: [],
        type: null,
        definition: { http: { path: '/healthz', status: 200 } },
      },
    },
  });
  expect(config.base).toEqual({ refreshEveryMs: 604_800_000 });
});

test('environments say what moves in, and what happens when it fails', () => {
  const { environments } = parseConfig(SHOP, families);
  expect(environments['preview']).toEqual({
    on: { kind: 'branch', pattern: '*' },
    from: [],
    gates: [],
    accepts: 'path',
    ephemeral: { ttlMs: 14 * 86_400_000 },
    deploy: { driver: 'docker', config: {} },
    config: { PREFIX: '${branch.slug}_', SIZE: '3' },
    secrets: {},
    verify: [],
    onFailure: { action: 'rollback', yank: false },
    settleMs: 3000,
    keep: 5,
    timeoutMs: 600_000,
  });
  expect(environments['qa']).toMatchObject({
    on: { kind: 'merge', pattern: 'main' },
    gates: [{ kind: 'unchanged' }, { kind: 'check', name: 'unit' }],
    onFailure: { action: 'rollback', yank: true },
  });
  expect(environments['prod']).toMatchObject({
    from: ['qa'],
    gates: [
      { kind: 'approvals', of: 'release-managers', count: 2, expiresMs: 86_400_000 },
      { kind: 'soak', ms: 3_600_000 },
    ],
    onFailure: { action: 'hold', yank: false },
    settleMs: 10_000,
  });
});

test('whose identity tokens count is read into the claims that they need', () => {
  const { identities } = parseConfig(`${SHOP}${IDENTITIES}`, families);
  expect(identities['actions']).toEqual({
    kind: 'github',
    issuer: 'https://token.actions.githubusercontent.com',
    audience: null,
    conditions: [
      { claim: 'repository', patterns: ['team/shop'] },
      { claim: 'ref', patterns: ['refs/heads/main'] },
      { claim: 'event_name', patterns: ['push', 'workflow_dispatch', 'schedule', 'release'] },
      { claim: 'ref_protected', patterns: ['true'] },
    ],
    commit: 'sha',
  });
  expect(identities['lab']).toMatchObject({ kind: 'gitlab', issuer: 'https://git.example', audience: 'towpath' });
});

test('what is read is plain JSON: it survives a jsonb column', () => {
  const config = parseConfig(`${SHOP}${IDENTITIES}`, families);
  expect(JSON.parse(JSON.stringify(config))).toEqual(config);
});

test('a thousand services with their checks are read', () => {
  const service = (name: string): string => `  ${name}:
    path: services/${name}
    build: { node: { start: server.js } }
    port: 3000
    health: /healthz
    replicas: 2
    limits: { memory: 256M, cpus: 0.5 }
    checks:
      unit: { run: npm test, during: build, junit: reports/junit.xml }
      integration: { run: npm run test:integration, timeout: 10m }
      smoke: { http: { path: /healthz } }
`;
  const names = Array.from({ length: 1000 }, (_, i) => `service-${i}`);
  const { services } = parseConfig(`project: mono\nservices:\n${names.map(service).join('')}`, families);
  expect(Object.keys(services)).toEqual(names);
});

test('an unknown key is refused with its place, the known ones and the nearest of them', () => {
  expect(problemsOf(SHOP.replace('    port: 3000', '    prot: 3000'))).toContainEqual({
    line: 8,
    column: 5,
    path: 'services.web.prot',
    what: 'unknown key "prot"',
    expected: expect.stringContaining('path, build'),
    nearest: 'port',
  });
});

test.each<[string, string, string, Partial<ConfigProblem>]>([
  ['an unknown key of a builder', 'start: server.js', 'strat: server.js', { nearest: 'start' }],
  ['an unknown builder', '{ node: { start: worker.js } }', '{ nod: { start: worker.js } }', { nearest: 'node' }],
  ['an unknown builder by its bare name', 'build: serverless', 'build: serverles', { nearest: 'serverless' }],
  ['an unknown driver', 'deploy: process', 'deploy: proces', { nearest: 'process', line: 21, column: 64 }],
  ['a driver with a wrong setting', '{ network: dev }', '{ netwrok: dev }', { nearest: 'network' }],
  ['a gate that is none', 'gates: [unchanged, unit]', 'gates: [unchanged, unti]', { nearest: 'unit', column: 49 }],
  ['a gate of its own, misspelt', '[unchanged, unit]', '[unchaged, unit]', { nearest: 'unchanged' }],
  ['an unknown kind of gate', '{ soak: 1h }', '{ soka: 1h }', { nearest: 'soak' }],
  ['a role that is none', 'of: release-managers', 'of: release-manager', { nearest: 'release-managers', line: 25 }],
  ['an environment that is none', 'from: qa', 'from: qaa', { nearest: 'qa', line: 24, column: 11 }],
  ['an environment that stands later', '{ on: manual, accepts', '{ on: manual, from: qa, accepts', { line: 20 }],
  ['a check that is none', 'verify: [smoke]', 'verify: [smok]', { nearest: 'smoke', line: 28, column: 14 }],
  [
    'a check that is not asked of a deployment',
    'verify: [smoke]',
    'verify: [unit]',
    { expected: expect.stringContaining('during: deployment') },
  ],
  ['a gate that is asked too late', '[unchanged, unit]', '[unchanged, smoke]', { expected: 'it under `verify`' }],
  ['an unknown trigger', '{ merge: main }', '{ mrege: main }', { nearest: 'merge' }],
  ['an unknown bare trigger', 'on: manual', 'on: manuel', { nearest: 'manual' }],
  [
    'two triggers',
    '{ merge: main }',
    '{ merge: main, tag: x }',
    { expected: expect.stringContaining('exactly one of') },
  ],
  [
    'an unknown placeholder',
    '${branch.slug}',
    '${branch.slg}',
    { expected: expect.stringContaining('nearest is ${branch.slug}') },
  ],
  [
    'a branch where there is none',
    'secrets: { DB: "env:DB_URL" }',
    'config: { X: "${branch.name}" }',
    { what: '${branch.name} has no value here' },
  ],
  ['a secret in plain', 'env:DB_URL', 'hunter2', { expected: expect.stringContaining('a reference to a secret') }],
  ['a bad duration', 'settle: 10s', 'settle: 10 seconds', { expected: expect.stringContaining('a duration such as') }],
  ['a wait beyond the timers', 'settle: 10s', 'settle: 25d', { expected: 'a duration of at most 24h' }],
  [
    'a registry with a scheme',
    'settle: 10s',
    'registry: "https://registry.example.org"',
    { expected: expect.stringContaining('a registry without a scheme') },
  ],
  [
    'a migration where nothing runs it',
    '    port: 3000\n',
    '    port: 3000\n    migrate: { run: node migrate.js }\n',
    { what: expect.stringContaining('runs no migrations'), expected: expect.stringContaining('a driver that does') },
  ],
  ['more approvals than people', 'count: 2', 'count: 3', { what: 'role "release-managers" has 2 users', line: 25 }],
  [
    'a function that listens',
    'build: serverless }',
    'build: serverless, port: 3000 }',
    { expected: 'no `port`: a function is called, and listens nowhere' },
  ],
  [
    'a function as a base',
    'base: { dockerfile: {} }',
    'base: serverless',
    { expected: 'a builder that makes an image' },
  ],
  ['a wrong type', 'port: 3000', 'port: "3000"', { what: 'found "3000"', expected: 'a number' }],
  ['a port out of range', 'port: 3000', 'port: 70000', { expected: 'at most 65535' }],
  ['a fraction for a whole', 'port: 3000', 'port: 30.5', { expected: 'a whole number' }],
  [
    'a missing builder setting',
    '{ start: worker.js }',
    '{}',
    { what: '"start" is missing', path: 'services.worker.build.node.start' },
  ],
  ['a missing path', '{ path: functions/thumbnails, build', '{ build', { what: '"path" is missing', column: 3 }],
  ['a path that leaves the repository', 'images/node', '../node', { expected: 'a relative path that stays inside' }],
  ['a bad name', '  worker:', '  Worker_1:', { column: 3, what: 'the key "Worker_1" is not allowed' }],
  [
    'a check of two kinds',
    'http: { path: /healthz }',
    'http: { path: /healthz }, run: x',
    { what: expect.stringContaining('unknown key') },
  ],
  ['a bad word', 'during: build', 'during: buidl', { nearest: 'build', expected: 'one of release, build, deployment' }],
  ['health without a port', '    port: 3000\n', '', { expected: '`port` beside `health`' }],
  [
    'pull requests of the repository itself',
    'on: { branch: "*" }',
    'on: { pull-request: all }',
    { expected: expect.stringContaining('forks') },
  ],
  [
    'pull requests in an environment that stays',
    'on: manual',
    'on: { pull-request: forks }',
    { expected: expect.stringContaining('`ephemeral` beside') },
  ],
  [
    'a driver that does not isolate where strangers wrote what runs',
    'on: { branch: "*" }, ephemeral: {}, deploy: docker',
    'on: { pull-request: forks }, ephemeral: {}, deploy: process',
    { expected: expect.stringContaining('a driver that isolates') },
  ],
  [
    'secrets where strangers wrote what runs',
    'on: { branch: "*" }',
    'on: { pull-request: forks }, secrets: { KEY: "env:KEY" }',
    { expected: expect.stringContaining('no secrets') },
  ],
  [
    'ephemeral without a branch',
    'on: { branch: "*" }',
    'on: manual',
    { expected: expect.stringContaining('on: { branch') },
  ],
  [
    'a scalar in place of a mapping',
    'roles: { release-managers: [ann, bob] }',
    'roles: ann',
    { what: 'found "ann"', expected: 'a mapping' },
  ],
  ['a doubled key', 'roles:', 'project:', { line: 16, what: 'the key "project" stands there twice' }],
  ['a tag of YAML', 'deploy: process', 'deploy: !Ref process', { line: 21 }],
])('refused with place and reason: %s', (_, old, wrong, problem) => {
  expect(SHOP).toContain(old);
  expect(problemsOf(SHOP.replace(old, () => wrong))).toContainEqual(expect.objectContaining(problem));
});

test('what is measured against an environment that is nowhere is refused', () => {
  const load = 'run: load, performance: { k6: reports/k6.json, baseline: { environment: prd, slower: { p95: 10 } } }';
  const text = SHOP.replace('run: node --test, during: build, junit: reports/junit.xml', load);
  expect(() => parseConfig(text, { ...families, checks })).toThrow(
    /check "unit" is measured against environment "prd": there is none of this name.*did you mean "prod"/,
  );
  expect(() => parseConfig(text.replace('prd', 'prod'), { ...families, checks })).not.toThrow();
});

test('a check whose answers are no answer to the gate of its name is refused there', () => {
  const refusal = (check: string, gate: string) => () =>
    parseConfig(
      SHOP.replace('run: node --test, during: build, junit: reports/junit.xml', check).replace(
        '[unchanged, unit]',
        gate,
      ),
      { ...families, checks },
    );
  const broker = 'broker: { pacticipant: Web, environment: prod }';
  expect(refusal('pact: { port: 3000 }', '[unchanged, unit]')).toThrow(/check "unit" verifies pacts.*can-i-deploy/);
  expect(refusal('pact: { port: 3000 }', '[can-i-deploy]')).not.toThrow();
  expect(refusal(broker, '[unchanged, unit]')).toThrow(/check "unit" is about what runs now.*fresh: 5m/);
  expect(refusal(broker, '[{ check: unit, fresh: 5m }]')).not.toThrow();
});

test('a colon that is missing is told once, and not again for each line below it', () => {
  const source = 'services:\n  web\n    path: .\n    port: 8080\n  api: { path: api }\n  jobs\n    path: jobs\n';
  expect(problemsOf(source).map(({ line, column, what }) => [line, column, what])).toEqual([
    [2, 3, '"web" is no key with a value'],
    [6, 3, '"jobs" is no key with a value'],
  ]);
});

test('a second document is refused, however well the first reads', () => {
  expect(problemsOf('project: shop\nservices: { web: { path: . } }\n---\nproject: other\n')).toMatchObject([
    { line: 3, column: 1, what: 'a second document begins there' },
  ]);
});

test.each([
  ['on: { branch: "*" }, ephemeral: {}', 'another driver beside `ephemeral`'],
  ['on: manual, config: { A: 1 }', 'no `config` beside `deploy: gitops`'],
  ['on: manual, secrets: { A: "env:A" }', 'no `secrets` beside `deploy: gitops`'],
])('what a driver that writes images alone would leave out is refused: %s', (words, expected) => {
  const gitops = 'deploy: { gitops: { repository: "https://git.example/m.git", services: {} } }';
  const source = `project: a\nservices: { b: { path: b, build: dockerfile } }\nenvironments: { c: { ${words}, ${gitops} } }\n`;
  expect(problemsOf(source, realFamilies)).toMatchObject([
    { line: 3, expected: expect.stringContaining(expected) as string },
  ]);
});

test('every problem of one kind is told at once, in the order of the file', () => {
  const problems = problemsOf(SHOP.replace('port: 3000', 'port: x').replace('on: manual', 'on: manuel'));
  expect(problems.map(({ line }) => line)).toEqual([8, 20]);
});

test('the message can be followed by an editor', () => {
  const error = errorOf(SHOP.replace('deploy: process', 'deploy: proces'));
  expect(error.code).toBe('config.invalid');
  expect(error.what).toBe(
    'towpath.yaml:21:64: environments.qa.deploy: found "proces"; expected one of process, docker (did you mean "process"?)',
  );
});

test('what stands in the place of a reference to a secret is not shown', () => {
  for (const wrong of ['"hunter2"', '[hunter2]', '{ a: hunter2 }'])
    expect(errorOf(SHOP.replace('"env:DB_URL"', wrong)).message).not.toContain('hunter2');
});

test('who logs in by a URL is not shown where that is not taken', () => {
  const { what } = errorOf(
    SHOP.replace('deploy: process', 'deploy: process, registry: "http://olga:hunter2@reg.example.com"'),
  );
  expect(what).toContain('found "http://***@reg.example.com"');
});

test('a check may not take the name of a gate', () => {
  expect(problemsOf(SHOP.replace('unit: { run', 'unchanged: { run'))).toContainEqual(
    expect.objectContaining({ what: '"unchanged" is a gate of its own', line: 12, column: 7 }),
  );
});

test('no member is called what means the home', () => {
  const named = (name: string) => `${SHOP}repositories: { ${name}: { url: "https://git.example/team/api.git" } }\n`;
  expect(parseConfig(named('api'), families).repositories).toEqual({
    api: { url: 'https://git.example/team/api.git' },
  });
  expect(errorOf(named('home')).message).toContain('another name than "home"');
});

test('words that objects inherit are no names of ours', () => {
  for (const word of ['constructor', 'toString', '__proto__']) {
    expect(() => parseConfig(SHOP.replace('verify: [smoke]', `verify: [${word}]`), families)).toThrow(ConfigError);
    expect(() => parseConfig(SHOP.replace('deploy: process', `deploy: ${word}`), families)).toThrow(ConfigError);
  }
  expect(problemsOf(`${SHOP}__proto__: {}\n`)).toContainEqual(expect.objectContaining({ path: '__proto__' }));
});

function problemsOf(text: string, known = families): readonly ConfigProblem[] {
  return errorOf(text, known).problems;
}

function errorOf(text: string, known = families): ConfigError {
  try {
    parseConfig(text, known);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}

test('a part beside a check, and one that an environment mocks, must be there', () => {
  const text = `project: shop
services:
  web: { path: ., build: { node: { start: a.js } }, checks: { unit: { run: "true", with: [postgres, redsi] } } }
backing:
  postgres: { image: "postgres:17", port: 5432, mock: { image: "mock:1", port: 1 } }
  redis: { image: "redis:7", port: 6379 }
environments:
  qa: { on: manual, deploy: docker, mocks: [postgres, redis, s3] }
`;
  expect(problemsOf(text, realFamilies)).toMatchObject([
    { line: 3, what: 'there is no backing part "redsi"', nearest: 'redis' },
    { line: 8, what: '"redis" has no mock' },
    { line: 8, what: 'there is no backing part "s3"', expected: 'a backing part with a mock: postgres' },
  ]);
});

test('what builds upon no base of the file is told where it says so, with the word that was meant', () => {
  expect(basesRefused('{ start: a.js, from: node-bse }')).toEqual([
    '6:57 services.web.build.node.from[0]: there is no base service "node-bse"; expected a base service: tools, node-base; or an image with its tag, such as node-bse:latest (node-base?)',
  ]);
  expect(basesRefused('{ start: a.js, from: api }')).toEqual([
    '6:57 services.web.build.node.from[0]: service "api" is not a base; expected `base` in place of `build` in "api"',
  ]);
  expect(basesRefused('{ start: a.js, from: "node-bse:1" }')).toEqual([]);
});

test('bases that build upon each other in a circle are refused, with the way round', () => {
  expect(basesRefused('{ start: a.js, from: node-base }', '[node-base]')).toEqual([
    '3:65 services.tools.base.dockerfile.from[0]: a circle of base services: tools -> node-base -> tools; expected a base that builds upon none of them',
  ]);
  expect(basesRefused('{ start: a.js, from: node-base }', '[tools]')).toHaveLength(1);
});

test('a check of what another CI builds is not asked during its build', () => {
  const elsewhere = { name: 'external', definition: z.strictObject({}), elsewhere: true } as const;
  const check = (during: string) => (): unknown =>
    parseConfig(
      `project: shop\nservices: { web: { path: web, build: external, checks: { unit: { run: test, during: ${during} } } } }\n`,
      { ...families, builders: [...families.builders, elsewhere] },
    );
  expect(check('release')).not.toThrow();
  expect(check('build')).toThrow(/check "unit" is asked during a build that another CI makes/);
});

function basesRefused(web: string, toolsFrom = '[]'): string[] {
  const file = `project: shop
services:
  tools:     { path: images/tools, base: { dockerfile: { from: ${toolsFrom} } } }
  node-base: { path: images/node,  base: { dockerfile: { from: [tools] } } }
  api: { path: api, build: { node: { start: a.js } } }
  web: { path: web, build: { node: ${web} } }
`;
  try {
    parseConfig(file, families);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(
      ({ line, column, path, what, expected, nearest }) =>
        `${line}:${column} ${path}: ${what}; expected ${expected}${nearest === undefined ? '' : ` (${nearest}?)`}`,
    );
  }
}
