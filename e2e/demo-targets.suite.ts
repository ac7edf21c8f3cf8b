import Docker from 'dockerode';
import { expect, test } from 'vitest';

import { findGoProgram } from '../tools/go-programs.js';
import { dockerHost } from '../tools/test-machine/machine.ts';
import { NO_DOCKER, playDemo } from './testing/demo.ts';

const LONG = { timeout: 900_000 };

test('without an engine only what needs none can be the target, and each is told what to do', LONG, async () => {
  for (const target of ['docker', 'compose', 'swarm']) {
    const { code, stderr } = await playDemo(NO_DOCKER, '--target', target);
    expect(code).toBe(1);
    expect(stderr).toContain(`The target ${target} needs a Docker Engine, and none answers.`);
  }
});

test('an engine that is in no Swarm is no target for one', LONG, async () => {
  const { code, stderr } = await playDemo(await dockerHost(), '--target', 'swarm');
  expect(code).toBe(1);
  expect(stderr).toContain('docker swarm init');
});

test.each([
  ['gitops', /written into a repository of manifests/],
  ['compose', /as compose.yaml says/],
  ['swarm', /as services of the Swarm/],
])('the same story is told on %s', LONG, async (target, says) => {
  const host = await dockerHost();
  if (target === 'swarm') await swarmOn(host);
  process.env['TOWPATH_COMPOSE'] = findGoProgram('docker-compose').path ?? '';
  const { code, stdout, stderr } = await playDemo(host, '--target', target);
  expect(stderr).toBe('');
  expect(stdout).toMatch(says);
  expect(stdout).toContain('from nothing to prod took');
  expect(stdout).toContain('prod runs v1.2.0');
  expect(code).toBe(0);
});

/** The engine of this run is its own, and ends with it. */
async function swarmOn(host: string): Promise<void> {
  const engine = new Docker({ socketPath: host.slice('unix://'.length) });
  await engine.swarmInit({ ListenAddr: '127.0.0.1:0', AdvertiseAddr: '127.0.0.1' });
}
