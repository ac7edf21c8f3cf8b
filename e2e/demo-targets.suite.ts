import Docker from 'dockerode';
import { expect, test } from 'vitest';

import { findGoProgram } from '../tools/go-programs.js';
import { kubernetesMissing } from '../tools/test-machine/kubernetes.js';
import { debianRegistryHost, dockerHost, kubernetesConfig } from '../tools/test-machine/machine.ts';
import { clusterAccess, connect } from '../src/container/kubernetes/testing/cluster.ts';
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

test('without a cluster that answers, or a registry that its nodes reach, none is the target', LONG, async () => {
  const refused = async (kubeconfig: string, ...more: string[]): Promise<string> => {
    process.env['KUBECONFIG'] = kubeconfig;
    const { code, stderr } = await playDemo(NO_DOCKER, '--target', 'kubernetes', ...more);
    expect(code).toBe(1);
    return stderr;
  };
  expect(await refused('/nowhere/config', '--registry', 'localhost:5000')).toContain('kubectl config use-context');
  if (kubernetesMissing() !== null) return;
  expect(await refused(await kubernetesConfig())).toContain('--registry HOST[:PORT][/PREFIX]');
});

const missing = kubernetesMissing();

test.skipIf(missing !== null)(missing ?? 'the same story is told with one environment in a cluster', LONG, async () => {
  process.env['KUBECONFIG'] = await kubernetesConfig();
  const registry = `${(await debianRegistryHost()).replace('127.0.0.1', 'localhost')}/of-the-demo`;
  const words = ['--target', 'kubernetes', '--registry', registry];
  const { code, stdout, stderr } = await playDemo(await dockerHost(), ...words);
  expect(stderr).toBe('');
  expect(stdout).toContain(`from images that are copied to ${registry}`);
  expect(stdout).toMatch(/demo runs rc-1 in the cluster: every pod of web says sha256:/);
  expect(stdout).toContain('prod runs v1.2.0');
  expect(code).toBe(0);
  const kubernetes = connect(await clusterAccess());
  const left = async () => {
    const all = (await kubernetes.list('/api/v1/namespaces')) ?? [];
    return all.filter(({ metadata }) => metadata.annotations?.['towpath.dev/environment'] === 'demo');
  };
  await expect.poll(left, { timeout: 60_000, interval: 500 }).toEqual([]);
  await kubernetes.close();
});

/** The engine of this run is its own, and ends with it. */
async function swarmOn(host: string): Promise<void> {
  const engine = new Docker({ socketPath: host.slice('unix://'.length) });
  await engine.swarmInit({ ListenAddr: '127.0.0.1:0', AdvertiseAddr: '127.0.0.1' });
}
