import { expect, onTestFinished, test } from 'vitest';

import { createWorld } from './testing/world.ts';

const CONFIG = `
services:
  web: { path: services/web, build: text, checks: { unit: { run: try it } } }
  api: { path: services/api, build: text, checks: { unit: { run: try it } } }
environments:
  qa: { on: { merge: main }, gates: [unit], deploy: stage }
`;

test('a check of several services is asked of them at once', async () => {
  const met: string[] = [];
  let meet = (): void => undefined;
  const all = new Promise<void>((resolve) => (meet = resolve));
  const world = await createWorld('shop', CONFIG, {
    says: { web: 'hello', api: 'api' },
    answer: async ({ env }) => {
      met.push(env['TOWPATH_SERVICE'] ?? '');
      if (met.length === 2) meet();
      await all; // each waits for the other
      return { kind: 'exited', code: 0 };
    },
  });
  onTestFinished(() => world.end());
  await world.live('qa', await world.git('rev-parse', 'main'));
  expect(met.toSorted()).toEqual(['api', 'web']);
});
