import { expect, test } from 'vitest';

import type { KnownProject } from './match-services.ts';
import { planProposal, type Proposal, type SeenField } from './proposal.ts';

const shop: KnownProject = { project: 'shop', services: ['web', 'worker'], environments: ['qa', 'prod'] };

function field(file: string, image: string | null, more: { branch?: string; called?: string } = {}): SeenField {
  return { place: { file, image: 'spec.image' }, image, called: more.called ?? '', branch: more.branch ?? 'main' };
}

/** Environment -> service -> files. */
function shapeOf({ environments }: Proposal): Record<string, Record<string, string[]>> {
  return Object.fromEntries(
    environments.map(({ name, services }) => [
      name,
      Object.fromEntries(
        Object.entries(services).map(([service, places]) => [service, places.map(({ place }) => place.file)]),
      ),
    ]),
  );
}

function whysOf({ leftOut }: Proposal): string {
  return leftOut.map(({ where, why }) => `${where} ${why}`).join('\n');
}

test('folders are environments, under the names that the project has for them and in its order', () => {
  const plan = planProposal(
    [
      field('overlays/production/web.yaml', 'r.example.com/shop/web:1'),
      field('overlays/production/jobs/worker.yaml', 'r.example.com/shop/worker:1'),
      field('overlays/qa/web.yaml', 'r.example.com/shop/web:2'),
      field('overlays/extra/web.yaml', 'r.example.com/shop/web:2'),
    ],
    'main',
    shop,
  );
  expect(shapeOf(plan)).toEqual({
    qa: { web: ['web.yaml'] },
    prod: { web: ['web.yaml'], worker: ['jobs/worker.yaml'] },
    extra: { web: ['web.yaml'] },
  });
  expect(plan.environments.map(({ name, folder }) => [name, folder])).toEqual([
    ['qa', 'overlays/qa'],
    ['prod', 'overlays/production'],
    ['extra', 'overlays/extra'],
  ]);
});

test('what all environments share is left out, and said', () => {
  const plan = planProposal(
    [field('base/web.yaml', 'shop/web'), field('overlays/qa/web.yaml', 'shop/web')],
    'main',
    shop,
  );
  expect(shapeOf(plan)).toEqual({ qa: { web: ['web.yaml'] } });
  expect(whysOf(plan)).toContain('base/web.yaml spec.image is shared by all environments');
});

test('a branch that is called as an environment is one, and what it has of others is a copy', () => {
  const plan = planProposal(
    [
      field('web.yaml', 'shop/web', { branch: 'env/qa' }),
      field('overlays/prod/web.yaml', 'shop/web', { branch: 'env/qa' }),
      field('overlays/prod/web.yaml', 'shop/web'),
      field('web.yaml', 'shop/web', { branch: 'prod' }),
    ],
    'main',
    shop,
  );
  expect(shapeOf(plan)).toEqual({ qa: { web: ['web.yaml'] }, prod: { web: ['web.yaml'] } });
  expect(plan.environments.map(({ name, branch }) => [name, branch])).toEqual([
    ['qa', 'env/qa'],
    ['prod', 'main'],
  ]);
  expect(whysOf(plan)).toContain('env/qa: images (1) are in folders of other environments');
  expect(whysOf(plan)).toContain('prod: web.yaml spec.image is of prod, which stands on the branch main too');
});

test('where nothing names an environment there is one, and it says that this is a guess', () => {
  const plan = planProposal([field('web.yaml', 'shop/web')], 'main', null);
  expect(shapeOf(plan)).toEqual({ prod: { web: ['web.yaml'] } });
  expect(plan.isOnlyGuess).toBe(true);
  expect(
    planProposal([field('web.yaml', 'shop/web')], 'main', { ...shop, environments: ['qa'] }).environments,
  ).toMatchObject([{ name: 'qa' }]);
});

test('a service is known by the name of its image, and by nothing else', () => {
  const plan = planProposal(
    [
      field('a.yaml', 'r.example.com/shop/web:1'),
      field('b.yaml', 'r.example.com/other/web:1'),
      field('c.yaml', 'envoy:1', { called: 'worker' }),
      field('d.yaml', null, { called: 'worker' }),
      field('e.yaml', null, { called: 'cache' }),
      field('f.yaml', 'localhost:5000/shop-worker@sha256:1'),
    ],
    'main',
    shop,
  );
  expect(shapeOf(plan)).toEqual({ prod: { web: ['a.yaml'], worker: ['d.yaml', 'f.yaml'] } });
  expect(whysOf(plan).split('\n')).toEqual([
    'b.yaml spec.image is the image "other/web", and web may be "shop/web"',
    'c.yaml spec.image is the image "envoy:1", which no service of towpath.yaml is called after',
    'e.yaml spec.image has a tag and no name, so it does not say of which service it is',
  ]);
});

test('of two images that may be a service, neither is taken', () => {
  const plan = planProposal([field('a.yaml', 'x/web'), field('b.yaml', 'y/web')], 'main', shop);
  expect(plan.environments).toEqual([]);
  expect(whysOf(plan)).toContain('a.yaml spec.image is the image "x/web", and web may be "x/web" or "y/web"');
});

test('without a project each image is a service with a name of its own, but for those of everybody', () => {
  const images = ['postgres:17', 'library/redis', 'a/web', 'b/web', 'A/Web'.toLowerCase(), 'c/9lives', 'z/b-web'];
  const plan = planProposal(
    images.map((image, at) => field(`${at}.yaml`, image)),
    'main',
    null,
  );
  expect(shapeOf(plan)).toEqual({
    prod: { web: ['2.yaml', '4.yaml'], 'b-web': ['3.yaml'], 'x-9lives': ['5.yaml'], 'z-b-web': ['6.yaml'] },
  });
  expect(whysOf(plan)).toContain('0.yaml spec.image is the image "postgres", which is nobody\'s own');
});
