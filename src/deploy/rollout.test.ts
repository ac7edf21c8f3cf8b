import { expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import type { Desired, DesiredService, Observed } from './driver.ts';
import { instanceId, planRollout, targetKey } from './rollout.ts';

const target = { project: 'shop', environment: 'prod', slug: 'prod-1' };
const web: DesiredService = {
  service: 'web',
  image: 'registry.test/shop/web',
  digest: sha256('v1'),
  port: 3000,
  publicPort: 7100,
  env: {},
  secrets: {},
  replicas: 2,
  limits: {},
};
const { port: _port, publicPort: _publicPort, ...portless } = web;
const worker: DesiredService = { ...portless, service: 'worker', replicas: 1 };

test('new ones of all services are healthy before any traffic moves, and old ones end last', () => {
  const plan = planRollout(desired('op-2', [web, worker]), running('op-1', [web, worker]));
  expect(plan.map(({ kind, service }) => `${kind} ${service}`)).toEqual([
    'pull web',
    'start web',
    'pull worker',
    'start worker',
    'await-healthy web',
    'await-healthy worker',
    'switch web',
    'switch worker',
    'drain web',
    'stop web',
    'drain worker',
    'stop worker',
  ]);
});

test('nothing is planned where the operation is done', () => {
  expect(planRollout(desired('op-1', [web, worker]), running('op-1', [web, worker]))).toEqual([]);
});

test('another operation starts anew though the image is the same', () => {
  const plan = planRollout(desired('op-2', [web]), running('op-1', [web]));
  expect(plan.find(({ kind }) => kind === 'start')).toMatchObject({
    ids: [instanceId(target, 'web', 'op-2', 0), instanceId(target, 'web', 'op-2', 1)],
  });
});

test('a replica that runs another image than the desired one is not done', () => {
  const sick = running('op-1', [{ ...web, digest: sha256('other') }]);
  expect(planRollout(desired('op-1', [web]), sick).map(({ kind }) => kind)).toContain('start');
});

test('a service that left the release loses its port, then its replicas', () => {
  const plan = planRollout(desired('op-1', [worker]), running('op-1', [web, worker]));
  expect(plan.map(({ kind, service }) => `${kind} ${service}`)).toEqual(['unroute web', 'drain web', 'stop web']);
});

test('a service that lost its public port is closed there', () => {
  const { publicPort: _gone, ...inner } = web;
  const plan = planRollout(desired('op-2', [inner]), running('op-1', [web]));
  expect(plan.find(({ kind }) => kind === 'unroute')).toMatchObject({ port: 7100 });
});

test('names are safe and never shared, whatever projects and services are called', () => {
  const hostile = ['../../etc', 'a b', '$(reboot)', '--flag', 'ä', 'A', 'a', 'x'.repeat(300)];
  const ids = hostile.flatMap((name) => [
    instanceId(target, name, 'op', 0),
    instanceId({ ...target, project: name }, 'web', 'op', 0),
  ]);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^towpath-[a-z0-9-]{1,90}$/);
  expect(targetKey({ ...target, project: 'shop-prod', environment: 'x' })).not.toBe(
    targetKey({ ...target, project: 'shop', environment: 'prod-x' }),
  );
});

function desired(operation: string, services: readonly DesiredService[]): Desired {
  return { target, config: {}, services, operation };
}

function running(operation: string, services: readonly DesiredService[]): Observed {
  return {
    services: Object.fromEntries(
      services.map((service) => [
        service.service,
        {
          ...(service.publicPort === undefined ? {} : { url: `http://127.0.0.1:${service.publicPort}` }),
          replicas: Array.from({ length: service.replicas }, (_, index) => ({
            id: instanceId(target, service.service, operation, index),
            digest: service.digest,
            health: 'healthy' as const,
            operation,
            serving: true,
          })),
        },
      ]),
    ),
  };
}
