import { afterEach, describe, expect, test } from 'vitest';

import { CANARY, type DriverUnderTest, type Rollouts, rolloutsOf } from './rollouts.ts';

/**
 * What a driver with `jobs` has to do, tried on the real thing.
 * @param unseen why nothing shows what a program printed, on a machine where no container really runs
 */
export function describeJobs(under: () => DriverUnderTest, unseen?: string): void {
  describe('what runs before a release', () => {
    let run: Rollouts;
    afterEach(() => run.end());
    const program = (text: string): string[] => ['node', '-e', text];

    const seen = unseen === undefined ? test : (title: string) => test.skip(`${title}: ${unseen}`);
    const more = { env: { COLOUR: 'blue' }, secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } };

    test('it runs to its end, is no replica, and gives no secret away', async () => {
      run = rolloutsOf(under());
      const before = await run.deploy('one', [await run.web('v1')]);
      const { end, begun } = await run.job('two', [await run.web('v2', more)], { argv: program('') });
      expect({ end, begun }).toEqual({ end: { kind: 'exited', code: 0 }, begun: 1 });
      expect(await run.observe()).toEqual(before);
      await run.forgetJob('two', [await run.web('v2', more)]);
      await run.forgetJob('two', [await run.web('v2', more)]);
      expect(await under().traces(CANARY)).toEqual([]);
    });

    seen('it runs in the very image with settings and secrets, and what it prints is told without them', async () => {
      run = rolloutsOf(under());
      await run.job('one', [await run.web('v2', more)], {
        argv: program(`const { readFileSync } = require('node:fs');
          console.log(readFileSync('/app/version', 'utf8'), process.env.COLOUR);
          console.error('with ' + readFileSync(process.env.TOWPATH_SECRETS + '/TOKEN', 'utf8'));`),
      });
      expect(run.logged()).toContain('v2 blue');
      expect(run.logged()).toContain('with [secret]');
      expect(run.logged()).not.toContain(CANARY);
    });

    test('how it failed is told, and one that takes too long is ended', async () => {
      run = rolloutsOf(under());
      const services = [await run.web('v1')];
      expect((await run.job('one', services, { argv: program('process.exit(3)') })).end).toEqual({
        kind: 'exited',
        code: 3,
      });
      const endless = { argv: program('setInterval(() => undefined, 1000)'), timeoutMs: 1500 };
      expect((await run.job('two', services, endless)).end).toEqual({ kind: 'timed-out' });
    });

    test('one that was begun is never begun again: its end is told, or that nobody saw it', async () => {
      run = rolloutsOf(under());
      const services = [await run.web('v1')];
      const argv = program('process.exit(4)');
      expect((await run.job('one', services, { argv, begun: true })).end).toEqual({ kind: 'lost' });
      await run.job('two', services, { argv });
      const again = await run.job('two', services, { argv, begun: true });
      expect(again.begun).toBe(0);
      expect([{ kind: 'exited', code: 4 }, { kind: 'lost' }]).toContainEqual(again.end);
    });

    test('an abort ends it, and nothing of it goes on', async () => {
      run = rolloutsOf(under());
      const services = [await run.web('v1')];
      const stop = new AbortController();
      const endless = program(`console.log('at work'); setInterval(() => undefined, 1000)`);
      let isBegun = false;
      const begin = async (): Promise<void> => void (isBegun = true);
      const working = run.job('one', services, { argv: endless, begin }, stop.signal);
      working.catch(() => undefined);
      const isAtWork = () => (unseen === undefined ? run.logged().includes('at work') : isBegun);
      await expect.poll(isAtWork, { timeout: 30_000 }).toBe(true);
      stop.abort();
      await expect(working).rejects.toThrow();
      expect((await run.job('one', services, { argv: endless, begun: true })).end).toEqual({ kind: 'lost' });
    });
  });
}
