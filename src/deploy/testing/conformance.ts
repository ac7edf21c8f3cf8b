import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest';

import { sha256Hex } from '../../lib/digest.ts';
import type { Desired, DesiredService, Observed, Target } from '../driver.ts';
import type { DriverStatement, Lack } from '../statement.ts';
import { HOSTILE } from './hostile.ts';
import { describeJobs } from './job-conformance.ts';
import { describeOutput } from './output-conformance.ts';
import { CANARY, type DriverUnderTest, type Rollouts, rolloutsOf } from './rollouts.ts';

/**
 * What every driver has to do, tried on the real thing. A driver's test calls this with a way to make it; what the driver says
 * that it lacks is not asked of it.
 * @param make is called once; `restart` of what it gives makes the driver anew, as a server does after a kill
 * @param options.unseen why nothing shows what a program printed, on a machine where no container really runs
 */
export function describeDriver(
  { name, lacks }: DriverStatement,
  make: () => Promise<DriverUnderTest>,
  { unseen }: { readonly unseen?: string } = {},
): void {
  describe(`the driver ${name}`, () => {
    let under: DriverUnderTest;
    beforeAll(async () => {
      under = await make();
    });
    afterAll(() => under.dispose());
    describeDeployments(() => under, lacks);
    if (!lacks.includes('output')) describeOutput(() => under);
    if (!lacks.includes('jobs')) describeJobs(() => under, unseen);

    test(lacks.length === 0 ? 'says that it lacks nothing' : `says what it lacks: ${lacks.join(', ')}`, () => {
      const driver = under.restart();
      expect([driver.name, driver.lacks]).toEqual([name, lacks]);
      expect(driver.output === undefined).toBe(lacks.includes('output'));
      expect(driver.jobs === undefined).toBe(lacks.includes('jobs'));
    });
  });
}

function describeDeployments(under: () => DriverUnderTest, lacks: readonly Lack[]): void {
  describe('what it deploys', () => {
    /** A test of what not every driver can do. */
    const able = (...needs: readonly Lack[]) => {
      const lacking = needs.filter((need) => lacks.includes(need));
      if (lacking.length === 0) return test;
      return (title: string, _body: () => Promise<void>) => test.skip(`${title}: it lacks ${lacking.join(', ')}`);
    };
    let run: Rollouts;
    afterEach(() => run.end());
    const begin = (): Rollouts => {
      const begun = (run = rolloutsOf(under()));
      onTestFailed(() => void process.stderr.write(`${begun.logged()}\n`)); // why, as the driver tells it
      return begun;
    };
    const expectRunning = (observed: Observed, services: readonly DesiredService[], operation: string): void =>
      expectRunningBy(lacks, observed, services, operation);
    /** What answers under the address of `web`, of a driver that knows addresses. */
    const expectAnswer = async (answer: string): Promise<void> => {
      if (!lacks.includes('addresses')) expect(await run.text('/')).toBe(answer);
    };

    test('a deployment runs the very digest, healthy, behind its address', async () => {
      const { deploy, web } = begin();
      const observed = await deploy('one', [await web('v1')]);
      expectRunning(observed, [await web('v1')], 'one');
      await expectAnswer('v1');
    });

    test('applied twice is the same as applied once', async () => {
      const { deploy, again, web } = begin();
      const first = await deploy('one', [await web('v1')]);
      const { observed, actions } = await again('one', [await web('v1')]);
      expect(observed).toEqual(first);
      expect(actions).toEqual([]);
    });

    test('a redeployment takes the place of the old one under the same address', async () => {
      const { deploy, web } = begin();
      const before = await deploy('one', [await web('v1')]);
      const after = await deploy('two', [await web('v2')]);
      expectRunning(after, [await web('v2')], 'two');
      expect(after.services['web']?.url).toBe(before.services['web']?.url);
      await expectAnswer('v2');
    });

    able('settings', 'addresses')(
      'the same image in another operation starts anew, with settings as they are now',
      async () => {
        const { deploy, web, text } = begin();
        await deploy('one', [await web('v1', { env: { COLOUR: 'red' } })]);
        const after = await deploy('two', [await web('v1', { env: { COLOUR: 'blue' } })]);
        expectRunning(after, [await web('v1')], 'two');
        expect(await text('/env?name=COLOUR')).toBe('"blue"');
      },
    );

    able('replicas')('several replicas and a worker run together', async () => {
      const { deploy, web, worker } = begin();
      const services = [await web('v1', { replicas: 2 }), await worker('v1')];
      expectRunning(await deploy('one', services), services, 'one');
    });

    able('replicas')('scaled up and down, so many run', async () => {
      const { deploy, web } = begin();
      for (const [operation, replicas] of [
        ['one', 1],
        ['two', 3],
        ['three', 1],
      ] as const) {
        const services = [await web('v1', { replicas })];
        expectRunning(await deploy(operation, services), services, operation);
        await expectAnswer('v1');
      }
    });

    test('what somebody changes by hand is noticed, and the next deployment puts it right', async () => {
      const { deploy, stepsOf, observe, web, worker, target } = begin();
      const services = [await web('v1'), await worker('v1')];
      const before = await deploy('one', services);
      await under().harm(target, 'web');
      await expect.poll(() => observe(), { timeout: 60_000 }).not.toEqual(before);
      expect(await stepsOf('one', services)).not.toEqual([]);
      expectRunning(await deploy('two', services), services, 'two');
      await expectAnswer('v1');
    });

    able('replicas')('one that never becomes healthy is taken away, and the old one goes on serving', async () => {
      const { deploy, web, observe, logged } = begin();
      const before = await deploy('one', [await web('v1')]);
      const sick = await web('v2', { behaviour: 'sick', startMs: 1500 });
      await expect(deploy('two', [sick])).rejects.toMatchObject({ code: 'deploy.unhealthy' });
      expect(await observe(), logged()).toEqual(before);
      await expectAnswer('v1');
    });

    able('replicas')(
      'one that ends by itself fails at once, its last words are in the log, and the old one serves',
      async () => {
        const { deploy, web, observe, logged } = begin();
        const before = await deploy('one', [await web('v1')]);
        const crash = await web('v2', { behaviour: 'crash', startMs: 60_000 });
        await expect(deploy('two', [crash])).rejects.toMatchObject({ code: 'deploy.exited' });
        expect(await observe(), logged()).toEqual(before);
        await expectAnswer('v1');
        expect(logged()).toContain('cannot go on');
      },
    );

    able('replicas')('one sick service holds back the switch of all', async () => {
      const { deploy, web, worker, observe, logged } = begin();
      const before = await deploy('one', [await web('v1'), await worker('v1')]);
      const sick = await worker('v2', { behaviour: 'crash' });
      await expect(deploy('two', [await web('v2'), sick])).rejects.toMatchObject({ code: 'deploy.exited' });
      if (!lacks.includes('one-switch')) expect(await observe(), logged()).toEqual(before);
      else expectRunning(await observe(), [await web('v1'), await worker('v1')], 'one');
    });

    able('replicas')('a rollback during a rollout ends it and wins', async () => {
      const { deploy, deployUntil, web } = begin();
      await deploy('one', [await web('v1')]);
      const stuck = await web('v2', { behaviour: 'sick', startMs: 120_000 });
      await deployUntil('two', [stuck], 'await-healthy');
      const after = await deploy('back', [await web('v1')]);
      expectRunning(after, [await web('v1')], 'back');
      await expectAnswer('v1');
    });

    test('a late writer with a lower token is refused and changes nothing', async () => {
      const { deploy, deployWith, web, observe, logged } = begin();
      const before = await deploy('one', [await web('v1')]);
      await expect(deployWith({ token: 0n }, 'late', [await web('v2')])).rejects.toMatchObject({
        code: 'deploy.fenced',
      });
      expect(await observe(), logged()).toEqual(before);
    });

    test('killed between any two steps, the rollout ends as it would have', async () => {
      const { deploy, deployPart, web, worker, stepsOf } = begin();
      const old = [await web('v1'), await worker('v1')];
      const next = [await web('v2', { replicas: 2 }), await worker('v2')];
      await deploy('base', old);
      const steps = (await stepsOf('probe', next)).length;
      expect(steps).toBeGreaterThanOrEqual(lacks.includes('replicas') ? 3 : lacks.includes('one-switch') ? 8 : 10);
      for (let done = 0; done <= steps; done++) {
        await deployPart(`cut-${done}`, next, done);
        expectRunning(await deploy(`cut-${done}`, next), next, `cut-${done}`);
      }
    }, 300_000);

    test('what a killed rollout left is cleared by the next one, whatever that deploys', async () => {
      const { deploy, deployPart, web, worker } = begin();
      await deployPart('lost', [await web('v2', { replicas: 2 }), await worker('v2')], 4);
      expectRunning(await deploy('next', [await web('v1')]), [await web('v1')], 'next');
    });

    able('addresses')('a service that left the release stops, and its address closes', async () => {
      const { deploy, web, worker, text } = begin();
      await deploy('one', [await web('v1'), await worker('v1')]);
      const after = await deploy('two', [await worker('v1')]);
      expectRunning(after, [await worker('v1')], 'two');
      await expect(text('/')).rejects.toThrow();
    });

    test('destroyed once or twice, nothing is left', async () => {
      const { deploy, destroy, web, worker, observe, text } = begin();
      await deploy('one', [await web('v1', { replicas: 2 }), await worker('v1')]);
      await destroy();
      await destroy();
      expect(await observe()).toEqual({ services: {} });
      await expect(text('/')).rejects.toThrow();
      expect(await under().traces(CANARY)).toEqual([]);
    });

    test('a target that was destroyed can be made again, by a lane that counts from one', async () => {
      const { deploy, deployWith, destroy, web } = begin();
      await deploy('one', [await web('v1')]);
      await deploy('two', [await web('v1')]);
      await destroy();
      expectRunning(await deployWith({ token: 1n }, 'anew', [await web('v2')]), [await web('v2')], 'anew');
    });

    able('addresses')('a rollout that fails at its switch leaves nothing of its own', async () => {
      const { deployTo, web, observe, target } = begin();
      const neighbour: Target = { ...target, environment: `${target.environment}-taken` };
      await deployTo(neighbour, 'one', [await web('v1')]);
      await expect(deployTo(target, 'one', [await web('v2')])).rejects.toMatchObject({ code: 'proxy.port-taken' });
      expect(await observe()).toEqual({ services: {} });
    });

    test.each(HOSTILE)('names are data: %j', async (hostile) => {
      const { web, deployTo, destroyOf } = begin();
      const target = { project: hostile, environment: hostile, slug: 'hostile-1' };
      const named = { ...(await web('v1')), service: hostile };
      expectRunning(await deployTo(target, 'one', [named]), [named], 'one');
      await expectAnswer('v1');
      await destroyOf(target);
    });

    test('two environments with one slug do not see each other', async () => {
      const { deploy, deployTo, destroyOf, web, worker, observe, logged, target } = begin();
      const before = await deploy('one', [await web('v1')]);
      const neighbour: Target = { ...target, project: `${target.project}-next-door` };
      await deployTo(neighbour, 'one', [await worker('v1')]);
      await destroyOf(neighbour);
      expect(await observe(), logged()).toEqual(before);
    });

    able('settings')('a secret arrives as a file, and shows nowhere else', async () => {
      const { deploy, web, text, logged, stepsOf } = begin();
      const service = await web('v1', { secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } });
      const steps = await stepsOf('one', [service]);
      const observed = await deploy('one', [service]);
      if (!lacks.includes('addresses')) expect(await text('/secret?name=TOKEN')).toBe(sha256Hex(CANARY));
      expect(JSON.stringify({ steps, observed }) + logged()).not.toContain(CANARY);
      expect(await under().traces(CANARY)).toEqual([]);
    });

    able('settings')('a secret that is missing stops the rollout before anything moves', async () => {
      const { deploy, web, observe, logged } = begin();
      const before = await deploy('one', [await web('v1')]);
      const lacking = await web('v2', { secrets: { TOKEN: 'env:NOT_THERE' } });
      await expect(deploy('two', [lacking])).rejects.toMatchObject({ code: 'secret.missing' });
      expect(await observe(), logged()).toEqual(before);
    });

    able('addresses')('requests under way at the switch are answered to their end', async () => {
      const { deploy, web, text } = begin();
      await deploy('one', [await web('v1')]);
      const slow = text('/slow?ms=2500');
      await deploy('two', [await web('v2')]);
      expect(await slow).toBe('v1');
      expect(await text('/')).toBe('v2');
    });
  });
}

/** Exactly the desired replicas, each healthy and serving with the desired digest, and nothing else; of a driver that sees none: it is written. */
function expectRunningBy(
  lacks: readonly Lack[],
  observed: Observed,
  services: readonly DesiredService[],
  operation: Desired['operation'],
): void {
  expect(Object.keys(observed.services).sort()).toEqual(services.map(({ service }) => service).sort());
  for (const { service, digest, replicas, publicPort } of services) {
    const seen = observed.services[service];
    if (seen?.written !== undefined) {
      expect(seen.replicas).toEqual([]);
      expect(new Set(seen.written.map((one) => `${one.digest} ${one.operation}`))).toEqual(
        new Set([`${digest} ${operation}`]),
      );
      continue;
    }
    expect(seen?.replicas.map(({ id: _id, ...rest }) => rest)).toEqual(
      Array.from({ length: replicas }, () => ({ digest, operation, health: 'healthy', serving: true })),
    );
    // a driver that lacks addresses says none
    if (seen?.url !== undefined || !lacks.includes('addresses'))
      expect(seen?.url).toBe(publicPort === undefined ? undefined : `http://127.0.0.1:${publicPort}`);
  }
}
