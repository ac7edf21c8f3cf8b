import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findGoProgram } from '../../../../tools/go-programs.js';
import { composeProgram, type ComposeProgram } from '../../compose/program.ts';
import type { DesiredService } from '../../driver.ts';
import { sourceOf } from '../../testing/source.ts';
import { SwarmConfig } from '../config.ts';
import type { Place } from '../names.ts';
import { orderOf, specOf } from '../spec.ts';
import { readStackFile } from './read-stack-file.ts';

const { path, missing } = findGoProgram('docker-compose');

/** What a real Docker Compose makes of stack files, and what a Swarm is asked for then. It needs no engine. */
let home: string;
let compose: ComposeProgram;
let logged: string[] = [];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'towpath-stack-read-'));
  compose = composeProgram({ path, environment: { PATH: process.env['PATH'] }, home });
}, 600_000);

afterAll(() => rm(home, { recursive: true, force: true }));

const place: Place = { target: { project: 'shop', environment: 'prod', slug: 'prod' }, installation: 'here' };
const web: DesiredService = {
  service: 'web',
  image: 'registry.test/web',
  digest: `sha256:${'a'.repeat(64)}`,
  port: 3000,
  publicPort: 8001,
  env: { COLOUR: 'blue {{.Node.ID}}' },
  secrets: { TOKEN: 'env:TOKEN' },
  replicas: 1,
  limits: {},
};

const read = async (
  service: string,
  {
    settings = {},
    more = '',
    files = {},
    wish = {},
  }: Partial<Record<'settings' | 'files', object>> & { more?: string; wish?: Partial<DesiredService> } = {},
) => {
  const config = SwarmConfig.parse({ stack: 'deploy/stack.yaml', ...settings });
  const text = `version: "3.8"\nservices:\n  web:\n    image: "someone/web:latest"\n${service}\n${more}`;
  const source = sourceOf({ 'deploy/stack.yaml': text, ...files });
  const io = { log: (line: string) => logged.push(line), signal: new AbortController().signal };
  const stack = await readStackFile(compose, { config, source, services: [{ ...web, ...wish }] }, 'project', io);
  const [decided] = stack.services;
  const part = stack.parts.get('web');
  if (decided === undefined) throw new Error('It has no service.');
  const configs = new Map([...stack.configs.keys()].map((key) => [key, { id: `id of ${key}`, swarmName: key }]));
  const secrets = [{ id: 'id', swarmName: 'TOKEN-1', file: 'TOKEN' }];
  const parts = { place, config, service: decided, operation: 'one', token: 1n, secrets, part, configs };
  return { stack, spec: specOf(parts), order: orderOf(config, decided, part) };
};

describe.skipIf(missing !== undefined)(missing ?? 'with Docker Compose', () => {
  test('what the file says is what the Swarm is asked for; the image is that of the release', async () => {
    const { spec, stack } = await read(
      `    command: ["node", "server.js", "--fast"]
    environment: { MODE: "file {{.Task.Slot}}", COLOUR: red, PORT: "1" }
    working_dir: /srv
    user: "1000"
    labels: { team: shop }
    stop_grace_period: 1m30s
    healthcheck: { test: ["CMD", "true"], interval: 2s, timeout: 1s, retries: 5, start_period: 10s }
    ports: ["80:3000"]
    networks: { back: { aliases: [shopfront] } }
    secrets: [TOKEN]
    configs: [{ source: site, target: /etc/site.conf, mode: 0440 }]
    deploy:
      replicas: 4
      endpoint_mode: vip
      labels: { traefik.enable: "true" }
      update_config: { parallelism: 2, delay: 5s, order: stop-first, failure_action: pause, monitor: 7s, max_failure_ratio: 0.1 }
      rollback_config: { parallelism: 1, order: stop-first }
      restart_policy: { condition: on-failure, delay: 3s, max_attempts: 4, window: 1m }
      placement: { constraints: ["node.labels.disk == ssd"], preferences: [{ spread: node.labels.zone }], max_replicas_per_node: 2 }
      resources: { limits: { cpus: "0.5", memory: 64M, pids: 100 }, reservations: { cpus: "0.25", memory: 32M } }`,
      {
        more: 'networks: { back: { driver: overlay, internal: true } }\nconfigs: { site: { file: ./site.conf } }\nsecrets: { TOKEN: { external: true } }',
        files: { 'deploy/site.conf': 'a site' },
      },
    );
    const { ContainerSpec: container, ...task } = spec.TaskTemplate;
    expect(container).toMatchObject({
      Image: `registry.test/web@${web.digest}`,
      Args: ['node', 'server.js', '--fast'],
      Dir: '/srv',
      User: '1000',
      StopGracePeriod: 90e9,
      Healthcheck: { Test: ['CMD', 'true'], Interval: 2e9, Timeout: 1e9, Retries: 5, StartPeriod: 10e9 },
      Configs: [{ ConfigID: 'id of site', File: { Name: '/etc/site.conf', UID: '0', GID: '0', Mode: 0o440 } }],
      Secrets: [{ SecretName: 'TOKEN-1' }],
    });
    expect(container.Env.toSorted()).toEqual([
      'COLOUR=blue {{"{{"}}.Node.ID}}',
      'MODE=file {{.Task.Slot}}',
      'PORT=3000',
      'TOWPATH_SECRETS=/run/secrets',
    ]);
    expect(container.Labels).toMatchObject({ team: 'shop', 'dev.towpath.service': 'web' });
    expect(spec.Labels).toMatchObject({ 'traefik.enable': 'true', 'dev.towpath.operation': 'one' });
    expect(task).toMatchObject({
      RestartPolicy: { Condition: 'on-failure', Delay: 3e9, MaxAttempts: 4, Window: 60e9 },
      Placement: {
        Constraints: ['node.labels.disk == ssd'],
        Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.zone' } }],
        MaxReplicas: 2,
      },
      Resources: {
        Limits: { NanoCPUs: 5e8, MemoryBytes: 64 * 1024 * 1024, Pids: 100 },
        Reservations: { NanoCPUs: 25e7, MemoryBytes: 32 * 1024 * 1024 },
      },
      Networks: [{ Target: expect.stringMatching(/-back-[0-9a-f]{8}$/), Aliases: ['web', 'shopfront'] }],
    });
    expect(spec).toMatchObject({
      Mode: { Replicated: { Replicas: 4 } },
      UpdateConfig: {
        Parallelism: 2,
        Delay: 5e9,
        Order: 'stop-first',
        FailureAction: 'pause',
        Monitor: 7e9,
        MaxFailureRatio: 0.1,
      },
      RollbackConfig: { Parallelism: 1, Order: 'stop-first', FailureAction: 'pause' },
      EndpointSpec: { Mode: 'vip', Ports: [{ TargetPort: 3000, PublishMode: 'host' }] },
    });
    expect(stack.networks).toEqual(new Map([['back', { internal: true, encrypted: false }]]));
    expect(stack.configs.get('site')?.toString()).toBe('a site');
  });

  test('what it does not say is as without one, and towpath.yaml stands over it where both have a word', async () => {
    const { spec } = await read(
      '    command: [other]\n    deploy: { resources: { limits: { memory: 64M, cpus: "2" } } }',
      { wish: { command: ['node', 'a.js'], limits: { memoryMb: 32 }, replicas: 2 } },
    );
    expect(spec).toMatchObject({
      Mode: { Replicated: { Replicas: 2 } },
      UpdateConfig: { FailureAction: 'rollback', Order: 'start-first', Parallelism: 1 },
      TaskTemplate: {
        ContainerSpec: { Command: ['node', 'a.js'], Healthcheck: { Retries: 5 } },
        Resources: { Limits: { MemoryBytes: 32 * 1024 * 1024, NanoCPUs: 2e9 } },
        RestartPolicy: { Condition: 'any' },
      },
    });
    expect(spec.TaskTemplate.ContainerSpec).not.toHaveProperty('Args');
  });

  test('variables are those of the environment, and a service may have another name in the file', async () => {
    const { spec } = await read('    hostname: a', {
      settings: { services: { web: 'front' }, outside: ['web'] },
      more: '  front: { image: "x:1", hostname: "${COLOUR}" }',
      wish: { env: { COLOUR: 'blue' } },
    });
    expect(spec.TaskTemplate.ContainerSpec).toMatchObject({ Hostname: 'blue' });
    expect(spec.TaskTemplate.Networks).toMatchObject([{ Aliases: ['web', 'front'] }]);
  });

  test('where Swarm publishes, ports are as the file has them, and a port of a node is never held twice', async () => {
    const { spec, stack, order } = await read(
      '    ports: [{ target: 3000, published: 8080, mode: host }, { target: 9090, published: 9090, protocol: udp, mode: host }]',
      { settings: { publish: 'host' } },
    );
    expect(spec.EndpointSpec.Ports).toEqual([
      { Protocol: 'tcp', TargetPort: 3000, PublishMode: 'host', PublishedPort: 8080 },
      { Protocol: 'udp', TargetPort: 9090, PublishMode: 'host', PublishedPort: 9090 },
    ]);
    expect(stack.services[0]?.publicPort).toBe(8080);
    expect(order).toBe('stop-first');
    const alone = await read('    hostname: a', { settings: { publish: 'ingress' } });
    expect(alone.spec.EndpointSpec).toMatchObject({ Mode: 'vip', Ports: [{ TargetPort: 3000, PublishedPort: 8001 }] });
  });

  test('words that are for Docker Compose alone are left out, and that is told', async () => {
    logged = [];
    await read('    depends_on: [db]\n    container_name: web\n    restart: always', {
      settings: { outside: ['db'] },
      more: '  db: { image: "postgres:17" }',
    });
    expect(logged.join('\n')).toMatch(/services\.web\.depends_on .* left out/);
    expect(logged.join('\n')).toMatch(/services\.web\.restart .* left out/);
    expect(logged.join('\n')).toMatch(/services\.web\.container_name .* left out/);
  });

  test.each([
    ['what reaches out of the environment', '    privileged: true', {}, 'services.web.privileged'],
    ['a path of a node', '    volumes: ["/etc:/etc"]', {}, 'services.web.volumes'],
    ['more rights', '    cap_add: [SYS_ADMIN]', {}, 'services.web.cap_add: SYS_ADMIN'],
    [
      'a word that nobody knows to a Swarm',
      '    deploy: { update_config: { failure_action: continue } }',
      {},
      'failure_action',
    ],
    ['one on each node', '    deploy: { mode: global }', {}, 'services.web.deploy.mode'],
    ['labels of ours', '    deploy: { labels: { dev.towpath.token: "9" } }', {}, 'dev.towpath.token'],
    [
      'the network of somebody else',
      '    networks: [out]',
      { more: 'networks: { out: { external: true } }' },
      'networks.out',
    ],
    [
      'a name that others would share',
      '    networks: [out]',
      { more: 'networks: { out: { name: all } }' },
      'networks.out.name',
    ],
    ['a service of somebody else', '', { more: '  db: { image: "postgres:17" }' }, '"db"'],
    ['a port that the proxy does not reach', '    ports: ["9090:9090"]', {}, 'services.web.ports'],
    [
      'fewer replicas than towpath.yaml',
      '    deploy: { replicas: 1 }',
      { wish: { replicas: 2 } },
      'deploy.replicas: 1',
    ],
    [
      'an update that would wait for ever',
      '    deploy: { update_config: { order: start-first } }',
      { settings: { publish: 'host' } },
      'order: start-first',
    ],
    [
      'a config without content',
      '    configs: [a]',
      { more: 'configs: { a: { file: ./a } }', files: { 'deploy/a': '' } },
      'configs.a',
    ],
  ])('%s is refused by its name', async (_, service, more, words) => {
    await expect(read(service, more)).rejects.toMatchObject({
      code: 'compose.refused',
      what: expect.stringContaining(words),
    });
  });

  test('what is not there says so', async () => {
    await expect(read('', { settings: { stack: 'other.yaml' } })).rejects.toMatchObject({
      code: 'compose.file-missing',
    });
    await expect(read('', { settings: { services: { web: 'front' }, outside: ['web'] } })).rejects.toMatchObject({
      code: 'compose.unmapped',
    });
    const secret = { more: 'secrets: { OTHER: { external: true } }' };
    await expect(read('    secrets: [OTHER]', secret)).rejects.toMatchObject({ code: 'compose.secret-missing' });
    const config = { more: 'configs: { a: { file: ./a } }' };
    await expect(read('    configs: [a]', config)).rejects.toMatchObject({ code: 'compose.file-missing' });
  });
});
