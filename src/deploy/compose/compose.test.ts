import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import { findGoProgram } from '../../../tools/go-programs.js';
import { type ContainerState, execIn, listContainers, removeContainer } from '../../container/docker/containers.ts';
import { listNetworks } from '../../container/docker/networks.ts';
import { listVolumes, removeVolume } from '../../container/docker/volumes.ts';
import { sha256Hex } from '../../lib/digest.ts';
import { noLog } from '../../lib/log.ts';
import { LABEL as INSTANCE } from '../docker/labels.ts';
import { LocalConfig } from '../local.ts';
import { composeUnderTest, type ComposeUnderTest } from '../testing/compose-machine.ts';
import { describeDriver } from '../testing/conformance.ts';
import { CANARY, type Rollouts, rolloutsOf } from '../testing/rollouts.ts';
import { promoteUnderLoad } from '../testing/under-load.ts';
import { composeStatement } from './config.ts';
import { LABEL } from './place.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 600_000 }); // a container starts in half a second, and the kit starts some hundred

const { missing } = findGoProgram('docker-compose');

describe.skipIf(missing !== undefined)(missing ?? 'with Docker Compose', () => {
  describeDriver(composeStatement, () => composeUnderTest());

  test('50 connections notice nothing of three promotions, a failed one and a rollback', async () => {
    const under = await composeUnderTest();
    try {
      const { requests, failed } = await promoteUnderLoad(under);
      expect(failed).toBe(0);
      expect(requests).toBeGreaterThan(1000);
    } finally {
      await under.dispose();
    }
  });

  describe('what the compose file has beside the release', () => {
    let under: ComposeUnderTest;
    let run: Rollouts;
    let store: string;
    beforeAll(async () => {
      under = await composeUnderTest();
      const { image, digest } = await under.image('store', 'well');
      store = `${image}@${digest}`;
    });
    afterAll(() => under.dispose());
    afterEach(async () => {
      await run.end();
      under.files = null;
      under.settings = {};
    });
    const begin = (
      services: Readonly<Record<string, unknown>>,
      more: Readonly<Record<string, unknown>> = {},
    ): Rollouts => {
      write(services, more);
      return (run = rolloutsOf(under));
    };
    const write = (services: Readonly<Record<string, unknown>>, more: Readonly<Record<string, unknown>> = {}): void => {
      under.files = {
        'compose.yaml': JSON.stringify({ services: { web: { build: '.' }, ...services }, ...more }),
        'motd.txt': 'hello',
      };
    };
    const STORE = { environment: { PORT: '3000' }, volumes: ['data:/data'] };
    const DATA = { volumes: { data: {} } };
    const labels = () => ({ [LABEL.installation]: under.installation });
    const containers = () => listContainers(under.engine, labels());
    const containerOf = async (name: string): Promise<ContainerState> => {
      const found = (await containers()).find(
        (one) => one.running && (one.labels[LABEL.name] ?? one.labels[INSTANCE.service]) === name,
      );
      if (found === undefined) throw new Error(`There is no ${name}.`);
      return found;
    };
    /** Runs a script of Node in a container. @returns its exit code */
    const inside = async (name: string, script: string): Promise<number | null> =>
      execIn(under.engine, (await containerOf(name)).id, ['node', '-e', script], new AbortController().signal);
    /** 0 when the address answers with the text. */
    const answers = (name: string, url: string, text: string): Promise<number | null> =>
      inside(
        name,
        `fetch('${url}').then((a) => a.text()).then((t) => process.exit(t === '${text}' ? 0 : 1), () => process.exit(2))`,
      );

    test('it runs, they find each other by name, and it stays as it is over deployments', async () => {
      const { deploy, web } = begin({ store: { image: store, ...STORE } }, DATA);
      await deploy('one', [await web('v1')]);
      expect(await answers('web', 'http://store:3000/', 'store')).toBe(0);
      expect(await answers('web', 'http://web:3000/', 'v1')).toBe(0);
      expect(await answers('store', 'http://web:3000/', 'v1')).toBe(0);
      const before = await containerOf('store');
      await deploy('two', [await web('v2')]);
      expect(await answers('store', 'http://web:3000/', 'v2')).toBe(0);
      expect((await containerOf('store')).id).toBe(before.id);
      expect(await listNetworks(under.engine, labels())).toHaveLength(2);
    });

    test('what is not well yet is found by nobody', async () => {
      const { deploy, deployUntil, web } = begin({ store: { image: store, ...STORE } }, DATA);
      await deploy('one', [await web('v1')]);
      const sick = await web('v2', { behaviour: 'sick', startMs: 500 });
      await expect(deploy('two', [sick])).rejects.toMatchObject({ code: 'deploy.unhealthy' });
      const slow = await web('v2', { behaviour: 'sick', startMs: 600_000 });
      await deployUntil('three', [slow], 'await-healthy', async () => {
        expect((await containers()).filter(({ running }) => running)).toHaveLength(3);
        for (let n = 0; n < 10; n++) expect(await answers('store', 'http://web:3000/', 'v1')).toBe(0);
      });
      expect(await answers('store', 'http://web:3000/', 'v1')).toBe(0);
    });

    test('what changed is made anew on its volume, and what the file has no more is removed', async () => {
      const keep = { image: store, ...STORE };
      const { deploy, web } = begin({ store: keep, old: { image: store, environment: { PORT: '3000' } } }, DATA);
      await deploy('one', [await web('v1')]);
      expect(await inside('store', "require('node:fs').writeFileSync('/data/kept', 'kept')")).toBe(0);
      write({ store: { ...keep, environment: { PORT: '3000', MODE: 'new' } } }, DATA);
      await deploy('two', [await web('v1')]);
      expect(
        await inside(
          'store',
          "process.exit(process.env.MODE === 'new' && require('node:fs').existsSync('/data/kept') ? 0 : 1)",
        ),
      ).toBe(0);
      expect((await containers()).map((one) => one.labels[LABEL.name] ?? 'web').sort()).toEqual(['store', 'web']);
    });

    test('it is given the secrets that it names and files of the repository, and nothing shows them', async () => {
      const asked = { secrets: ['TOKEN'], volumes: ['./motd.txt:/etc/motd:ro'] };
      const { deploy, web, logged } = begin(
        { store: { image: store, ...STORE, ...asked } },
        { secrets: { TOKEN: { file: '/etc/passwd' } } },
      );
      const services = [
        await web('v1', { secrets: { TOKEN: 'env:CANARY_OF_THE_TEST', OTHER: 'env:CANARY_OF_THE_TEST' } }),
      ];
      await deploy('one', services);
      const has = (path: string, text: string): string =>
        `require('node:fs').readFileSync('${path}', 'utf8') === '${text}'`;
      const script = `process.exit(${has('/run/secrets/TOKEN', CANARY)} && ${has('/etc/motd', 'hello')} && !require('node:fs').existsSync('/run/secrets/OTHER') ? 0 : 1)`;
      expect(await inside('store', script)).toBe(0);
      const before = await containerOf('store');
      await deploy('two', services);
      expect((await containerOf('store')).id).toBe(before.id);
      expect(logged()).not.toContain(CANARY);
      expect(await under.traces(CANARY)).toEqual([]);
    });

    test('a container of the release whose root cannot be written gets its secrets too', async () => {
      const { deploy, web, text } = begin({ web: { build: '.', read_only: true } });
      await deploy('one', [await web('v1', { secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } })]);
      expect(await text('/secret?name=TOKEN')).toBe(sha256Hex(CANARY));
    });

    test('what is not well stops the rollout before anything moves, in its own words', async () => {
      const { image, digest } = await under.image('broken', 'crash');
      const job = { image: `${image}@${digest}` };
      const { deploy, web, text, logged, observe } = begin({});
      const before = await deploy('one', [await web('v1')]);
      write({
        migrate: job,
        web: { build: '.', depends_on: { migrate: { condition: 'service_completed_successfully' } } },
      });
      await expect(deploy('two', [await web('v2')])).rejects.toMatchObject({ code: 'compose.beside-failed' });
      expect(logged()).toContain('migrate: cannot go on');
      expect(await observe()).toEqual(before);
      expect(await text('/')).toBe('v1');
    });

    test.each([
      ['compose.unmapped', { web: undefined, site: { build: '.' } }, {}],
      ['compose.builds', { other: { build: '.' } }, {}],
      ['compose.unpinned', { other: { image: 'busybox:1' } }, { unpinned: 'refuse' }],
      ['compose.secret-missing', { web: { build: '.', secrets: ['NONE'] } }, {}],
      ['compose.refused', { web: { build: '.', privileged: true } }, {}],
      ['compose.failed', { web: { build: '.', depends_on: ['nobody'] } }, {}],
    ])('%s is told before anything moves', async (code, services, settings) => {
      const { deploy, web, observe } = begin({});
      const before = await deploy('one', [await web('v1')]);
      write(services, { secrets: { NONE: { file: './none' } } });
      under.settings = settings;
      await expect(deploy('two', [await web('v2')])).rejects.toMatchObject({ code });
      expect(await observe()).toEqual(before);
    });

    test('when the environment ends its volumes stay, unless they were made to go', async () => {
      const { deploy, destroy, web, logged } = begin({ store: { image: store, ...STORE } }, DATA);
      under.settings = { volumes: 'keep' };
      await deploy('one', [await web('v1')]);
      await destroy();
      const [kept, ...others] = await listVolumes(under.engine, labels());
      expect(others).toEqual([]);
      expect(logged()).toContain(`the volume ${kept?.name} stays`);
      expect(await containers()).toEqual([]);
      expect(await listNetworks(under.engine, labels())).toEqual([]);
      await removeVolume(under.engine, kept?.name ?? '');
      under.settings = {};
      await deploy('two', [await web('v1')]);
      await destroy();
      expect(await listVolumes(under.engine, labels())).toEqual([]);
    });

    test('what was removed or replaced by hand is noticed, and the next deployment puts it right', async () => {
      const { deploy, again, web, observe, text } = begin({});
      const services = [await web('v1', { replicas: 2 })];
      await deploy('one', services);
      await removeContainer(under.engine, (await containerOf('web')).id);
      expect((await observe()).services['web']?.replicas).toHaveLength(1);
      const { observed } = await again('one', services);
      expect(observed.services['web']?.replicas.map(({ health, serving }) => [health, serving])).toEqual([
        ['healthy', true],
        ['healthy', true],
      ]);
      expect(await text('/')).toBe('v1');
    });

    test('an environment that goes to another driver of the machine and back keeps its address, and nothing of before is left', async () => {
      const { deploy, web, text, observe, target } = begin({ store: { image: store, ...STORE } }, DATA);
      expect((await deploy('one', [await web('v1')])).beside).toEqual({ store: null });
      const docker = under.docker();
      const desired = { target, config: LocalConfig.parse({}), services: [await web('v2')], operation: 'two' };
      const context = { log: noLog, signal: new AbortController().signal, token: 2n };
      await docker.apply(desired, docker.plan(desired, await docker.observe(target)), context);
      await under.restart().handOver?.(target, context);
      expect((await observe()).beside).toBeUndefined();
      expect(await text('/')).toBe('v2');
      expect((await containers()).map(({ labels: its }) => its[INSTANCE.operation])).toEqual(['two']);
      expect(await listNetworks(under.engine, labels())).toHaveLength(1);
      expect(await listVolumes(under.engine, labels())).toHaveLength(1); // the environment did not end
      await deploy('three', [await web('v1')]);
      await docker.handOver?.(target, { ...context, token: 3n });
      expect(await text('/')).toBe('v1');
      expect((await containers()).map(({ labels: its }) => its[INSTANCE.operation] ?? 'beside').sort()).toEqual([
        'beside',
        'three',
      ]);
    });
  });
});
