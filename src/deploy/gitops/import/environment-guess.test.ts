import fc from 'fast-check';
import { expect, test } from 'vitest';

import { Name } from '../../../lib/fields.ts';
import { environmentOfBranch, environmentOfFile, knownEnvironment, nameOf } from './environment-guess.ts';

test.each([
  ['overlays/prod/kustomization.yaml', 'prod'],
  ['apps/web/overlays/staging/kustomization.yaml', 'staging'],
  ['overlays/Customer_A/kustomization.yaml', 'customer-a'],
  ['overlays/shop-prod/patch.yaml', 'shop-prod'],
  ['overlays/2nd/kustomization.yaml', 'x-2nd'],
  ['envs/stage/values.yaml', 'stage'],
  ['envs/prod.yaml', 'prod'],
  ['environments/eu/prod/web.yaml', 'prod'],
  ['clusters/production/apps.yaml', 'production'],
  ['apps/production/web.yaml', 'production'],
  ['charts/web/values-prod.yaml', 'prod'],
  ['charts/web/values-prod-eu.yaml', 'prod-eu'],
  ['charts/web/values.pre-prod.yaml', 'pre-prod'],
  ['charts/web/prod-values.yaml', 'prod'],
  ['web-prod-us-east-1.yaml', 'prod-us-east-1'],
  ['prod/dev-notes.yaml', 'prod'],
  ['overlays/base/kustomization.yaml', null],
  ['base/deployment.yaml', null],
  ['apps/web/deployment.yaml', null],
  ['charts/web/values.yaml', null],
  ['products/live-chat/web.yaml', null],
  ['apps/shop-prod/web.yaml', 'prod'],
])('%s is of %s', (file, environment) => {
  expect(environmentOfFile(file)).toBe(environment);
});

test.each([
  ['prod', 'prod'],
  ['env/qa', 'qa'],
  ['environments/customer-a', 'customer-a'],
  ['deploy/Prod_EU', 'prod-eu'],
  ['develop', 'develop'],
  ['main', null],
  ['feature/prod-fix', null],
  ['prod-fix', null],
])('the branch %s is of %s', (branch, environment) => {
  expect(environmentOfBranch(branch)).toBe(environment);
});

test('an environment that is there goes before another word for it', () => {
  expect(knownEnvironment('production', ['dev', 'prod'])).toBe('prod');
  expect(knownEnvironment('prod', ['live'])).toBe('live');
  expect(knownEnvironment('prod', ['prod', 'live'])).toBe('prod');
  expect(knownEnvironment('prod-eu', ['prod'])).toBe('prod-eu');
});

test('whatever a path or a branch is called: a guess is a name of ours', () => {
  const parts = fc.oneof(
    fc.string(),
    fc.constantFrom('overlays', 'prod', 'env', 'base', '1'.repeat(300), 'us'.repeat(99)),
  );
  const paths = fc.array(parts, { minLength: 1, maxLength: 5 }).map((all) => all.join('/'));
  fc.assert(
    fc.property(paths, (path) => {
      for (const guess of [environmentOfFile(path), environmentOfBranch(path), nameOf(path)])
        if (guess !== null) expect(Name.safeParse(guess).success, guess).toBe(true);
    }),
  );
});
