import { expect, test } from 'vitest';

import { changeRoutes, noRoutes, type RouteChange } from './routes.ts';

const upstreams = [{ host: '127.0.0.1', port: 20_001 }];

test('a route is made, moved to another port, and closed', () => {
  const made = changeRoutes(noRoutes, route({ port: 7100 }));
  expect(made.routes).toEqual([{ port: 7100, owner: 'prod', service: 'web', upstreams }]);
  const moved = changeRoutes(made, route({ port: 7200 }));
  expect(moved.routes.map(({ port }) => port)).toEqual([7200]);
  expect(changeRoutes(moved, { kind: 'unroute', owner: 'prod', port: 7200, token: '1' }).routes).toEqual([]);
});

test('a change under a lower token is refused, an equal one is a repetition', () => {
  const made = changeRoutes(noRoutes, route({ token: '10' }));
  expect(changeRoutes(made, route({ token: '10' })).routes).toEqual(made.routes);
  expect(() => changeRoutes(made, route({ token: '9' }))).toThrow(expect.objectContaining({ code: 'deploy.fenced' }));
  expect(() => changeRoutes(made, { kind: 'unroute', owner: 'prod', port: 7100, token: '9' })).toThrow(
    expect.objectContaining({ code: 'deploy.fenced' }),
  );
});

test('the token of an owner outlives its routes', () => {
  const closed = changeRoutes(changeRoutes(noRoutes, route({ token: '5' })), {
    kind: 'unroute',
    owner: 'prod',
    port: 7100,
    token: '6',
  });
  expect(() => changeRoutes(closed, route({ token: '5' }))).toThrow(expect.objectContaining({ code: 'deploy.fenced' }));
});

test('a port belongs to whoever has it', () => {
  const made = changeRoutes(noRoutes, route({}));
  expect(() => changeRoutes(made, route({ owner: 'qa' }))).toThrow(
    expect.objectContaining({ code: 'proxy.port-taken' }),
  );
  expect(() => changeRoutes(made, route({ service: 'api' }))).toThrow(
    expect.objectContaining({ code: 'proxy.port-taken' }),
  );
  expect(changeRoutes(made, { kind: 'unroute', owner: 'qa', port: 7100, token: '1' }).routes).toEqual(made.routes);
});

function route(change: Partial<Extract<RouteChange, { kind: 'route' }>>): RouteChange {
  return { kind: 'route', port: 7100, owner: 'prod', service: 'web', upstreams, token: '1', ...change };
}
