import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { findGoProgram } from '../../../../tools/go-programs.js';
import { rolloutsOf } from '../../testing/rollouts.ts';
import { type SwarmUnderTest, swarmUnderTest } from '../../testing/swarm-machine.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const { missing } = findGoProgram('docker-compose');

const fileOf = (service: string): string => `version: "3.8"
services:
  web:
    image: "someone/web:latest"
    environment: { COLOUR: from the file }
    configs: [{ source: site, target: /etc/site.conf }]
    networks: [default, back]
${service}
networks: { back: { driver: overlay, internal: true } }
configs: { site: { file: ./site.conf } }
`;

/** A team's own stack file, on a real Swarm. */
describe.skipIf(missing !== undefined)(missing ?? 'a stack file', () => {
  let under: SwarmUnderTest;
  beforeAll(async () => {
    under = await swarmUnderTest(1);
    under.settings = { stack: 'stack.yaml' };
  });
  afterAll(() => under.dispose());

  test('a release runs as the file says, a changed config begins it anew, and nothing of it is left at the end', async () => {
    const { deploy, job, forgetJob, logged, web, text, end, target } = rolloutsOf(under);
    const { docker } = await under.engine(0);
    const filters = JSON.stringify({ label: [`dev.towpath.installation=${under.installation}`] });
    const left = async (): Promise<number[]> =>
      (
        await Promise.all([
          docker.listServices({ filters }),
          docker.listNetworks({ filters }),
          docker.listConfigs({ filters }),
        ])
      ).map((each) => each.length);
    try {
      under.files = {
        'stack.yaml': fileOf('    deploy: { replicas: 2, labels: { team: shop } }'),
        'site.conf': 'first',
      };
      const argv = [
        'node',
        '-e',
        "console.log(require('fs').readFileSync('/etc/site.conf', 'utf8'), process.env.COLOUR)",
      ];
      const services = [await web('v1')];
      expect((await job('one', services, { argv })).end).toEqual({ kind: 'exited', code: 0 });
      expect(logged()).toContain('first from the file');
      await forgetJob('one', services);

      const { services: seen } = await deploy('one', services);
      expect(seen['web']?.replicas.map(({ health, serving }) => [health, serving])).toEqual([
        ['healthy', true],
        ['healthy', true],
      ]);
      expect(JSON.parse(await text('/env?name=COLOUR'))).toBe('from the file');
      const [service] = (await docker.listServices({ filters })) as { Spec?: { Labels?: Record<string, string> } }[];
      expect(service?.Spec?.Labels).toMatchObject({ team: 'shop', 'dev.towpath.environment': target.environment });

      under.files = { ...under.files, 'site.conf': 'second' };
      await deploy('two', services);
      expect(await left()).toEqual([1, 2, 2]); // a config for who writes, and that of the file
      under.files = { 'stack.yaml': 'services: { web: { image: "x:1" } }' };
      await deploy('three', [await web('v2', { env: { COLOUR: 'blue' } })]);
      expect(JSON.parse(await text('/env?name=COLOUR'))).toBe('blue');
      expect(await left()).toEqual([1, 1, 1]);
    } finally {
      await end();
    }
    expect(await left()).toEqual([0, 0, 0]);
  });

  test('one whose own health check fails is put back, and what is refused touches nothing', async () => {
    const { deploy, web, observe, text, end } = rolloutsOf(under);
    const site = { 'site.conf': 'a' };
    try {
      under.files = { 'stack.yaml': fileOf(''), ...site };
      const before = await deploy('one', [await web('v1')]);
      const sick = '    healthcheck: { test: ["CMD", "false"], interval: 1s, timeout: 1s, retries: 2 }';
      under.files = { 'stack.yaml': fileOf(sick), ...site };
      await expect(deploy('two', [await web('v2')])).rejects.toMatchObject({ code: 'deploy.unhealthy' });
      expect(await text('/')).toBe('v1');
      under.files = { 'stack.yaml': fileOf('    privileged: true'), ...site };
      await expect(deploy('three', [await web('v2')])).rejects.toMatchObject({ code: 'compose.refused' });
      const digests = (of: typeof before) => of.services['web']?.replicas.map(({ digest }) => digest);
      expect(digests(await observe())).toEqual(digests(before));
    } finally {
      await end();
    }
  });
});
