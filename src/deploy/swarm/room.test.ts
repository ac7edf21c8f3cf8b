import { expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import type { DesiredService } from '../driver.ts';
import type { SwarmNode, SwarmService } from './api.ts';
import { SwarmConfig } from './config.ts';
import { checkRoom } from './room.ts';
import { orderOf } from './spec.ts';

const service: DesiredService = {
  service: 'web',
  image: 'registry.example.org/shop/web',
  digest: sha256(Buffer.from('web')),
  port: 3000,
  publicPort: 7100,
  env: {},
  secrets: {},
  replicas: 2,
  limits: {},
};
const onHost = SwarmConfig.parse({ publish: 'host' });
const node = (ID: string, availability = 'active', state = 'ready'): SwarmNode => ({
  ID,
  Spec: { Availability: availability },
  Status: { State: state },
});

test('a port of the node is replaced by ending the old program first: start-first would wait for ever', () => {
  expect(orderOf(onHost, service)).toBe('stop-first');
  expect(orderOf(onHost, { ...service, publicPort: undefined } as unknown as DesiredService)).toBe('start-first');
  expect(orderOf(SwarmConfig.parse({}), service)).toBe('start-first');
});

test('a node that a new leader has not heard from yet takes work', () => {
  const unknown = ['a', 'b'].map((id) => node(id, 'active', 'unknown'));
  for (const config of [onHost, SwarmConfig.parse({})]) expect(refused([service], config, unknown)).toBeNull();
});

test('more replicas with a port of the node than nodes that take work are refused', () => {
  expect(refused([service], onHost, [node('a'), node('b')])).toBeNull();
  for (const other of [node('b', 'drain'), node('b', 'pause'), node('b', 'active', 'down')]) {
    expect(refused([service], onHost, [node('a'), other])).toBe('swarm.no-room');
    expect(refused([service], SwarmConfig.parse({}), [node('a'), other])).toBeNull();
  }
});

test('where no node takes work nothing is begun', () => {
  expect(refused([service], SwarmConfig.parse({}), [node('a', 'drain')])).toBe('swarm.no-room');
});

test('a port of the nodes that another service has is refused, our own is not', () => {
  const holder: SwarmService = {
    ID: 's',
    Version: { Index: 1 },
    Spec: { Name: 'theirs', Labels: {}, EndpointSpec: { Ports: [{ PublishedPort: 7100, PublishMode: 'host' }] } },
  };
  const nodes = [node('a'), node('b')];
  expect(refused([service], onHost, nodes, [holder])).toBe('swarm.no-room');
  expect(refused([service], onHost, nodes, [holder], ['theirs'])).toBeNull();
});

test('an image at an address of this machine alone is refused where there are other nodes', () => {
  for (const host of ['127.0.0.1:7000', 'localhost:5000', '[::1]:5000']) {
    const near = { ...service, image: `${host}/shop/web` };
    expect(refused([near], SwarmConfig.parse({}), [node('a'), node('b')])).toBe('swarm.registry-out-of-reach');
    expect(refused([near], SwarmConfig.parse({}), [node('a')])).toBeNull();
  }
});

function refused(
  services: readonly DesiredService[],
  config: SwarmConfig,
  nodes: readonly SwarmNode[],
  others: readonly SwarmService[] = [],
  own: readonly string[] = [],
): string | null {
  try {
    checkRoom(services, config, { nodes, services: others, own: new Set(own) });
    return null;
  } catch (error) {
    return (error as { code: string }).code;
  }
}
