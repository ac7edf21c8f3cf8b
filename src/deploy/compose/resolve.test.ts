import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findGoProgram } from '../../../tools/go-programs.js';
import { noLog } from '../../lib/log.ts';
import type { DesiredService } from '../driver.ts';
import { sourceOf } from '../testing/source.ts';
import { ComposeConfig } from './config.ts';
import { composeProgram, type ComposeProgram } from './program.ts';
import { readStack } from './resolve.ts';

const { path, missing } = findGoProgram('docker-compose');

/** What a real Docker Compose makes of files, and what of that is taken. It needs no engine. */
let home: string;
let compose: ComposeProgram;
let logged: string[] = [];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'towpath-compose-read-'));
  compose = composeProgram({ path, environment: { PATH: process.env['PATH'] }, home });
}, 600_000);

afterAll(() => rm(home, { recursive: true, force: true }));

const web = (env: Record<string, string> = {}): DesiredService => ({
  service: 'web',
  image: 'registry.test/web',
  digest: `sha256:${'a'.repeat(64)}`,
  env,
  secrets: {},
  replicas: 1,
  limits: {},
});

const read = (
  files: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, unknown>> = {},
  env: Record<string, string> = {},
) =>
  readStack(
    compose,
    { config: ComposeConfig.parse(settings), source: sourceOf(files), services: [web(env)] },
    'project',
    { log: (line) => logged.push(line), signal: new AbortController().signal },
  );

const serviceOf = async (name: string, ...given: Parameters<typeof read>) =>
  (await read(...given)).stack.services.get(name);

describe.skipIf(missing !== undefined)(missing ?? 'with Docker Compose', () => {
  describe('what is taken', () => {
    test('short forms, lists and commands mean what they mean to Docker Compose', async () => {
      const service = await serviceOf('web', {
        'compose.yaml': `
name: shop
services:
  web:
    build: .
    command: node server.js --name "two words"
    environment: [A=1, "B=x=y"]
    ports: ["8080:3000"]
    volumes: [uploads:/uploads, "/cache"]
    depends_on: [db]
  db: { image: "postgres:17", healthcheck: { test: pg_isready, interval: 2s } }
volumes: { uploads: }
`,
      });
      expect(service).toMatchObject({
        command: ['node', 'server.js', '--name', 'two words'],
        environment: { A: '1', B: 'x=y' },
        ports: [{ target: 3000, published: '8080' }],
        volumes: [
          { type: 'volume', source: 'uploads', target: '/uploads' },
          { type: 'volume', target: '/cache' },
        ],
        depends_on: { db: { condition: 'service_started' } },
        networks: { default: null },
      });
    });

    test('variables are those of the environment, and no others', async () => {
      const file =
        'services: { db: { image: "postgres:${VERSION:-16}", environment: { HOME: "${HOME}", A: "$$A ${B}" } }, web: { build: . } }';
      const service = await serviceOf(
        'db',
        { 'compose.yaml': file },
        {},
        { VERSION: '17', B: '$C $$ ünï', PATH: '/evil', DOCKER_HOST: 'tcp://evil' },
      );
      expect(service).toMatchObject({ image: 'postgres:17', environment: { A: '$A $C $$ ünï' } });
      expect(service?.environment?.['HOME']).not.toBe(process.env['HOME']);
    });

    test('one that is not set is empty, and that is told', async () => {
      logged = [];
      const service = await serviceOf('web', {
        'compose.yaml': 'services: { web: { image: "a:1", user: "${NOBODY_SET}" } }',
      });
      expect(service?.user ?? '').toBe('');
      expect(logged.join('\n')).toContain('"NOBODY_SET" variable is not set');
    });

    test('later files stand over earlier ones, and an image over a build', async () => {
      const files = {
        'deploy/compose.yaml':
          'services: { web: { build: . }, mail: { build: ./mail, environment: { A: "1", B: "1" } } }',
        'deploy/prod.yaml': 'services: { mail: { image: "mail:1", environment: { B: "2" } } }',
      };
      const service = await serviceOf('mail', files, { file: ['deploy/compose.yaml', 'deploy/prod.yaml'] });
      expect(service).toMatchObject({ image: 'mail:1', environment: { A: '1', B: '2' } });
    });

    test('a service of a profile is there when the profile is active', async () => {
      const files = {
        'compose.yaml': 'services: { web: { build: . }, tools: { image: "tools:1", profiles: [debug] } }',
      };
      expect(await serviceOf('tools', files)).toBeUndefined();
      expect(await serviceOf('tools', files, { profiles: ['debug'] })).toMatchObject({ image: 'tools:1' });
    });

    test('an env_file is read from the repository, beside the first compose file', async () => {
      const files = {
        'deploy/compose.yaml':
          'services: { web: { build: ., env_file: [./web.env, { path: none.env, required: false }, ../all.env] } }',
        'deploy/web.env': 'A=one\nB="two words"\n',
        'all.env': 'C=${A}\n',
      };
      const service = await serviceOf('web', files, { file: 'deploy/compose.yaml' });
      expect(service?.environment).toEqual({ A: 'one', B: 'two words', C: 'one' });
    });

    test('a service extends another one of the same file', async () => {
      const file =
        'services: { base: { image: "app:1", environment: { A: "1" } }, web: { extends: base, environment: { B: "2" } } }';
      expect(await serviceOf('web', { 'compose.yaml': file })).toMatchObject({ environment: { A: '1', B: '2' } });
    });

    test('files and folders of the repository, and configs, are given as files', async () => {
      const files = {
        'compose.yaml': `
services:
  web: { build: ., volumes: ["./web.conf:/etc/web.conf:ro"] }
  front: { image: "nginx:1", volumes: ["./conf:/etc/nginx/conf.d"], configs: [{ source: motd, target: /etc/motd }] }
configs: { motd: { content: "hello\\n" } }
`,
        'web.conf': 'web',
        'conf/a.conf': 'a',
        'conf/more/b.conf': 'b',
      };
      const { files: given } = await read(files);
      const texts = (name: string) =>
        Object.fromEntries([...(given.get(name) ?? [])].map(([path, bytes]) => [path, bytes.toString()]));
      expect(texts('web')).toEqual({ '/etc/web.conf': 'web' });
      expect(texts('front')).toEqual({
        '/etc/nginx/conf.d/a.conf': 'a',
        '/etc/nginx/conf.d/more/b.conf': 'b',
        '/etc/motd': 'hello\n',
      });
    });
  });

  describe('what reaches out of the environment is refused, by its name', () => {
    test.each([
      ['privileged', 'privileged: true'],
      ['network_mode', 'network_mode: host'],
      ['network_mode', 'network_mode: "container:other"'],
      ['pid', 'pid: host'],
      ['ipc', 'ipc: host'],
      ['uts', 'uts: host'],
      ['userns_mode', 'userns_mode: host'],
      ['cgroup', 'cgroup: host'],
      ['cgroup_parent', 'cgroup_parent: /'],
      ['cap_add', 'cap_add: [SYS_ADMIN]'],
      ['cap_add', 'cap_add: [all]'],
      ['devices', 'devices: ["/dev/mem:/dev/mem"]'],
      ['device_cgroup_rules', 'device_cgroup_rules: ["c 1:3 mr"]'],
      ['security_opt', 'security_opt: ["apparmor:unconfined"]'],
      ['sysctls', 'sysctls: { net.core.somaxconn: 1 }'],
      ['use_api_socket', 'use_api_socket: true'],
      ['volumes_from', 'volumes_from: ["container:other"]'],
      ['external_links', 'external_links: [other]'],
      ['runtime', 'runtime: sysbox'],
      ['gpus', 'gpus: all'],
      ['oom_score_adj', 'oom_score_adj: -1000'],
      ['blkio_config', 'blkio_config: { weight: 300 }'],
      ['logging', 'logging: { driver: syslog, options: { syslog-address: "unix:///dev/log" } }'],
      ['post_start', 'post_start: [{ command: id, privileged: true }]'],
      ['labels', 'labels: { dev.towpath.installation: other }'],
      ['labels', 'labels: { com.docker.compose.project: other }'],
      ['ipv4_address', 'networks: { default: { ipv4_address: 10.0.0.2 } }'],
      ['mac_address', 'mac_address: "02:42:ac:11:65:43"'],
      ['scale', 'scale: 100000'],
      ['provider', 'provider: { type: ./evil }'],
      ['label_file', 'label_file: /etc/passwd'],
      ['credential_spec', 'credential_spec: { file: /etc/passwd }'],
      ['env_file', 'env_file: /etc/passwd'],
      ['env_file', 'env_file: ../../etc/passwd'],
      ['env_file', 'env_file: "${HOME}/.env"'],
      ['env_file', 'env_file: "~/.env"'],
      ['extends.file', 'extends: { file: ../../other.yaml, service: web }'],
      ['volumes', 'volumes: ["/:/host"]'],
      ['volumes', 'volumes: ["/var/run/docker.sock:/var/run/docker.sock"]'],
      ['volumes', 'volumes: ["../..:/up"]'],
      ['volumes', 'volumes: ["~/.ssh:/ssh"]'],
      ['volumes', 'volumes: [{ type: bind, source: "${EVIL}", target: /host }]'],
      ['volumes', 'volumes: [{ type: bind, source: ., target: /x, bind: { propagation: shared } }]'],
      ['volumes', 'volumes: [{ type: npipe, source: a, target: /x }]'],
    ])('%s: %s', async (name, line) => {
      const file = `services: { web: { image: "web:1", ${line} } }`;
      await expect(read({ 'compose.yaml': file }, {}, { EVIL: '/etc' })).rejects.toMatchObject({
        code: 'compose.refused',
        what: expect.stringContaining(name) as string,
      });
    });

    test.each([
      ['include: [other.yaml]', 'include'],
      ['include: ["https://evil.test/x.git"]', 'include'],
      ['networks: { default: { external: true, name: host } }', 'networks.default'],
      ['networks: { default: { driver: host } }', 'networks.default'],
      ['networks: { default: { driver: macvlan, driver_opts: { parent: eth0 } } }', 'networks.default'],
      ['networks: { default: { name: bridge } }', 'networks.default'],
      ['networks: { default: { ipam: { config: [{ subnet: 10.0.0.0/8 }] } } }', 'networks.default'],
      ['volumes: { data: { external: true } }', 'volumes.data'],
      ['volumes: { data: { name: of-others } }', 'volumes.data'],
      ['volumes: { data: { driver_opts: { type: none, o: bind, device: /etc } } }', 'volumes.data'],
      ['volumes: { data: { driver: sshfs } }', 'volumes.data'],
      ['configs: { a: { environment: HOME } }', 'configs.a'],
      ['configs: { a: { file: /etc/passwd } }', '/etc/passwd'],
      ['configs: { a: { external: true } }', 'configs.a'],
    ])('%s', async (line, name) => {
      const file = `services: { web: { image: "web:1", volumes: ["data:/data"], configs: [${line.startsWith('configs') ? 'a' : ''}] } }\n${line}\n${line.startsWith('volumes') ? '' : 'volumes: { data: }'}`;
      await expect(read({ 'compose.yaml': file })).rejects.toMatchObject({
        code: 'compose.refused',
        what: expect.stringContaining(name) as string,
      });
    });

    test('a folder over the image of a service of the release, which was tested without it', async () => {
      const files = { 'compose.yaml': 'services: { web: { build: ., volumes: [".:/app"] } }', 'server.js': '' };
      await expect(read(files)).rejects.toMatchObject({ code: 'compose.refused' });
    });

    test('more files than anybody mounts', async () => {
      const many = Object.fromEntries(Array.from({ length: 600 }, (_, n) => [`many/${n}`, '']));
      const files = { 'compose.yaml': 'services: { front: { image: "x:1", volumes: ["./many:/many"] } }', ...many };
      await expect(read(files)).rejects.toMatchObject({ code: 'compose.refused' });
    });
  });

  describe('what cannot be read is told', () => {
    test('a file that is not there, of each kind', async () => {
      const missing = { code: 'compose.file-missing' };
      await expect(read({})).rejects.toMatchObject(missing);
      await expect(read({ 'compose.yaml': 'services: { web: { build: ., env_file: a.env } }' })).rejects.toMatchObject(
        missing,
      );
      await expect(
        read({ 'compose.yaml': 'services: { web: { image: "a:1", volumes: ["./a:/a"] } }' }),
      ).rejects.toMatchObject(missing);
    });

    test.each([
      'services: { web: { image: "${UNSET:?is needed}" } }',
      'services: { web: { image: "a:1", ports: ["no port"] } }',
      'services: { web: { } }',
      'services: { web: { image: "a:1", depends_on: [nobody] } }',
      'services: { "a b": { image: "a:1" } }',
      'services: { a: { image: "a:1", depends_on: [b] }, b: { image: "a:1", depends_on: [a] } }',
      'services: { a: { extends: b }, b: { extends: a } }',
      'service: { web: { image: "a:1" } }',
    ])('in the words of Docker Compose: %s', async (file) => {
      await expect(read({ 'compose.yaml': file })).rejects.toMatchObject({
        code: 'compose.failed',
        what: expect.stringContaining('compose.yaml') as string,
      });
    });

    test('a reader that was called off leaves nothing', async () => {
      const stop = AbortSignal.abort(new Error('called off'));
      const wish = {
        config: ComposeConfig.parse({}),
        source: sourceOf({ 'compose.yaml': 'services: {}' }),
        services: [],
      };
      await expect(readStack(compose, wish, 'project', { log: noLog, signal: stop })).rejects.toThrow('called off');
    });
  });
});
