import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { ROLES, mayDo, type Role } from './permission.ts';
import { CATALOG, formatScope, grantScopes, parseScopes, permissionFor, type Scope } from './repository-scope.ts';

const pulling: Scope = { repository: 'shop/web', actions: ['pull'] };

test('scopes are read as clients write them, and what is none of ours is passed over', () => {
  expect(parseScopes(['repository:shop/web:pull'])).toEqual([pulling]);
  expect(parseScopes(['repository:shop/web:push,pull repository:shop/api:delete'])).toEqual([
    { repository: 'shop/web', actions: ['pull', 'push'] },
    { repository: 'shop/api', actions: ['delete'] },
  ]);
  expect(parseScopes(['repository:shop/web:*'])).toEqual([
    { repository: 'shop/web', actions: ['pull', 'push', 'delete'] },
  ]);
  expect(parseScopes(['repository(plugin):shop/web:pull', 'registry:catalog:*'])).toEqual([
    pulling,
    { repository: CATALOG, actions: ['pull'] },
  ]);
  expect(parseScopes(['', 'repository', 'repository:shop/web', 'admin:shop/web:pull', 'repository::pull'])).toEqual([]);
  expect(parseScopes([Array.from({ length: 99 }, (_, n) => `repository:a/${n}:pull`).join(' ')])).toHaveLength(50);
});

test('what was written is read back', () => {
  for (const scope of [pulling, { repository: CATALOG, actions: ['pull'] } as const]) {
    expect(parseScopes([formatScope(scope)])).toEqual([scope]);
  }
});

const scope = fc.record({
  repository: fc.constantFrom('shop/web', 'shop/a/b', 'shopping/web', 'docs/site', 'shop', CATALOG),
  actions: fc.uniqueArray(fc.constantFrom('pull' as const, 'push' as const, 'delete' as const)),
});
const roles = fc.uniqueArray(fc.constantFrom(...(Object.keys(ROLES) as Role[])));
const projects = fc.option(fc.uniqueArray(fc.constantFrom('shop', 'docs'), { minLength: 1 }));

test('whatever is asked for, nothing is granted beyond the roles and the projects of the asker, nor beyond what was asked', () => {
  fc.assert(
    fc.property(roles, projects, fc.array(scope), (roles, projects, asked) => {
      for (const { repository, actions } of grantScopes({ roles, projects }, asked)) {
        expect(actions.length).toBeGreaterThan(0);
        expect(actions.every((action) => mayDo(roles, permissionFor(action)))).toBe(true);
        expect(projects === null || projects.some((project) => repository.startsWith(`${project}/`))).toBe(true);
        const same = asked.filter((one) => one.repository === repository);
        expect(actions.every((action) => same.some((one) => one.actions.includes(action)))).toBe(true);
      }
    }),
    cases(200),
  );
});
