import { z } from 'zod';

import { DeployError, fenced } from '../deploy-error.ts';

export const Upstream = z.object({ host: z.string().min(1), port: z.number().int().min(1).max(65_535) });
const Token = z.string().regex(/^\d{1,30}$/);

/** One stable address: requests to `port` go to one of the upstreams. A service of an owner has one address. */
export const Route = z.object({
  port: z.number().int().min(1).max(65_535),
  owner: z.string().min(1).max(200),
  service: z.string().min(1).max(500),
  upstreams: z.array(Upstream).max(1000),
});
export type Route = z.infer<typeof Route>;
export type Upstream = z.infer<typeof Upstream>;

/** What the proxy remembers on disk: the routes, and the highest fencing token that each owner showed. */
export const Routes = z.object({ routes: z.array(Route), tokens: z.record(z.string(), Token) });
export type Routes = z.infer<typeof Routes>;

/** A wish to change routes; `token` is the fencing token of the owner's lane. */
export const RouteChange = z.discriminatedUnion('kind', [
  Route.extend({ kind: z.literal('route'), token: Token }),
  z.object({ kind: z.literal('unroute'), owner: z.string(), port: z.number().int(), token: Token }),
  z.object({ kind: z.literal('forget'), owner: z.string(), token: Token }),
]);
export type RouteChange = z.infer<typeof RouteChange>;

export const noRoutes: Routes = { routes: [], tokens: {} };

/**
 * The routes after a change. A new port of a service replaces its old one.
 * @throws DeployError `deploy.fenced` for a token lower than one seen before, `proxy.port-taken` for a port of another owner
 */
export function changeRoutes(current: Routes, change: RouteChange): Routes {
  const seen = BigInt(current.tokens[change.owner] ?? '0');
  const token = BigInt(change.token);
  if (token < seen) throw fenced(`The address of ${change.owner}`, token, seen);
  if (change.kind === 'forget') {
    const { [change.owner]: _gone, ...others } = current.tokens;
    return { routes: current.routes.filter(({ owner }) => owner !== change.owner), tokens: others };
  }
  const tokens = { ...current.tokens, [change.owner]: change.token };
  const holder = current.routes.find(({ port }) => port === change.port);
  if (change.kind === 'unroute') {
    const routes = current.routes.filter((route) => route.port !== change.port || route.owner !== change.owner);
    return { routes, tokens };
  }
  if (holder !== undefined && (holder.owner !== change.owner || holder.service !== change.service)) {
    throw new DeployError({
      code: 'proxy.port-taken',
      what: `Port ${change.port} already is the address of "${holder.service}" of ${holder.owner}.`,
      fix: 'Give the service another public port, or remove the environment that holds this one.',
    });
  }
  const { port, owner, service, upstreams } = change;
  const others = current.routes.filter((route) => route.owner !== owner || route.service !== service);
  return { routes: [...others, { port, owner, service, upstreams }], tokens };
}
