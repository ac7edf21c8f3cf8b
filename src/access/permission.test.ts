import { expect, test } from 'vitest';

import { OPERATION_NAMES, operationAt, operationOf } from './operation.ts';
import { PERMISSIONS, ROLES, isRole, mayDo, permissionsOf, rolesWith } from './permission.ts';

const roles = Object.keys(ROLES).filter(isRole);

test('a role that nobody knows grants nothing', () => {
  for (const permission of permissionsOf('admin')) {
    expect(mayDo([], permission)).toBe(false);
    expect(mayDo(['owner', '__proto__', 'constructor', 'toString'], permission)).toBe(false);
  }
});

test('an admin may do everything, a viewer changes nothing', () => {
  expect(permissionsOf('admin')).toEqual(Object.keys(PERMISSIONS));
  for (const name of OPERATION_NAMES) {
    const { needs, route } = operationOf(name);
    if (needs === 'public' || route.startsWith('GET') || needs === 'access:self') continue;
    expect(mayDo(['viewer'], needs), name).toBe(false);
  }
});

test('a CI reports artifacts, and sees nothing but that', () => {
  expect(permissionsOf('ci')).toEqual(['artifact:report', 'access:self']);
});

test('every role of a person can see the path and open the page', () => {
  for (const role of roles.filter((one) => one !== 'ci')) {
    expect(mayDo([role], 'path:read')).toBe(true);
    expect(mayDo([role], 'access:self')).toBe(true);
  }
});

test('only an admin makes tokens, else anybody could make an admin', () => {
  expect(rolesWith('access:manage')).toEqual(['admin']);
});

test('no two operations share a route, and each is found at its route', () => {
  for (const name of OPERATION_NAMES) {
    const [method = '', path = ''] = operationOf(name).route.split(' ');
    expect(operationAt(method, path)).toBe(name);
  }
  expect(operationAt('GET', '/api/v1/everything')).toBeNull();
});

test('what is public says what protects it instead', () => {
  const open = OPERATION_NAMES.map(operationOf).filter(({ needs }) => needs === 'public');
  for (const operation of open) expect(operation).toHaveProperty('because');
  expect(open.map(({ route }) => route)).toEqual([
    'POST /api/v1/identity-tokens',
    'POST /api/v1/sessions',
    'GET /api/v1/health',
    'GET /api/v1/ready',
    'GET /api/v1/openapi.json',
    'POST /hooks/:repository',
    'POST /hooks/:repository/analyses',
    'GET /',
    'GET /page/:file',
  ]);
});
