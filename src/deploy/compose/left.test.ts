import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { findGoProgram } from '../../../tools/go-programs.js';
import { execIn, listContainers, removeContainer, stopContainer } from '../../container/docker/containers.ts';
import { pullImage } from '../../container/docker/images.ts';
import { noLog } from '../../lib/log.ts';
import { judge } from '../judge.ts';
import { composeUnderTest, type ComposeUnderTest } from '../testing/compose-machine.ts';
import { type Rollouts, rolloutsOf } from '../testing/rollouts.ts';
import { LABEL, projectOf } from './place.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 600_000 });

const { missing } = findGoProgram('docker-compose');
const { signal } = new AbortController();

describe.skipIf(missing !== undefined)(missing ?? 'with Docker Compose', () => {
  let under: ComposeUnderTest;
  let run: Rollouts;
  beforeAll(async () => {
    under = await composeUnderTest();
    run = rolloutsOf(under);
  });
  afterAll(async () => {
    await run.end();
    await under.dispose();
  });

  const idOf = async (name: string): Promise<string> => {
    const containers = await listContainers(under.engine, { [LABEL.installation]: under.installation });
    return containers.find(({ labels }) => labels[LABEL.name] === name)?.id ?? '';
  };
  const inside = async (name: string, script: string): Promise<number | null> =>
    execIn(under.engine, await idOf(name), ['node', '-e', script], signal);
  /** As somebody does who has another compose file for the project. */
  const up = (services: Readonly<Record<string, unknown>>): Promise<string> => {
    const project = projectOf({ target: run.target, installation: under.installation });
    const networks = { default: { name: project, external: true } };
    return under.compose(['--project-name', project, '--file', '-', 'up', '--detach', '--pull', 'never'], {
      doing: 'do something by hand',
      input: JSON.stringify({ services, networks }),
      signal,
    });
  };
  /** As a program does that updates images by itself: all is copied, labels too. */
  const updateImage = async (id: string): Promise<void> => {
    const { image, digest } = await under.image('other', 'well');
    const reference = `${image}@${digest}`;
    await pullImage(under.engine, reference, { log: noLog, signal });
    const { docker } = under.engine;
    const { Config, HostConfig, Name: name } = await docker.getContainer(id).inspect();
    await removeContainer(under.engine, id);
    await (await docker.createContainer({ ...Config, Image: reference, HostConfig, name })).start();
  };

  test('what was stopped, removed, replaced or is unhealthy beside a release is noticed, and put right though that stays', async () => {
    const { deploy, again, web, observe, logged, target } = run;
    const { digest, image: repository } = await under.image('store', 'well');
    const image = `${repository}@${digest}`;
    const plain = { image, environment: { PORT: '3000' } };
    const test = ['CMD', 'node', '-e', "process.exit(+require('node:fs').existsSync('/scratch/sick'))"];
    under.files = {
      'compose.yaml': JSON.stringify({
        services: {
          web: { build: '.' },
          store: { ...plain, volumes: ['data:/data'] },
          cache: { ...plain, tmpfs: ['/scratch'], healthcheck: { test, interval: '300ms', retries: 1 } },
          helper: { ...plain, entrypoint: ['node', '-e', '0'], restart: 'no' },
          tool: { ...plain, profiles: ['tools'] },
        },
        volumes: { data: {} },
      }),
    };
    const services = [await web('v1')];
    const first = await deploy('one', services);
    expect(first.beside).toEqual({ store: null, cache: null, helper: null });
    const drifts: [Record<string, string>, () => Promise<unknown>][] = [
      [
        { cache: 'it is gone', store: 'it does not run' },
        async () => {
          await stopContainer(under.engine, await idOf('store'), 0);
          await removeContainer(under.engine, await idOf('cache'));
        },
      ],
      [
        { cache: 'it was made anew with another image', store: 'it was made anew with other settings' },
        async () => {
          await up({ store: { image, environment: { PORT: '1' } } });
          await updateImage(await idOf('cache'));
        },
      ],
      [{ cache: 'it is unhealthy' }, () => inside('cache', "require('node:fs').writeFileSync('/scratch/sick', '')")],
    ];
    for (const [amiss, drift] of drifts) {
      await drift();
      await expect.poll(async () => (await observe()).beside, { timeout: 30_000 }).toMatchObject(amiss);
      const [[name, what] = []] = Object.entries(amiss);
      expect(judge({ target, config: {}, services, operation: 'one' }, await observe())).toEqual({
        kind: 'wrong',
        what: `${name}, beside the release: ${what}`,
      });
      const { actions, observed } = await again('one', services);
      expect(actions.map(({ kind }) => kind)).toEqual(['beside', 'tidy']);
      expect(actions[0]?.summary).toContain(`${name}: ${what}`);
      expect(observed).toEqual(first);
      const finds = "fetch('http://web:3000/').then((answer) => process.exit(+!answer.ok), () => process.exit(2))";
      expect(await inside('store', finds)).toBe(0);
    }
    expect(logged()).toContain('cache: unhealthy, so it is started again');
    await up({ stranger: { image } });
    expect(await again('one', services)).toEqual({ actions: [], observed: first });
    const strangers = await listContainers(under.engine, { 'com.docker.compose.service': 'stranger' });
    await removeContainer(under.engine, strangers[0]?.id ?? '');
  });
});
