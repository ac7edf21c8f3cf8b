import type { FastifyInstance } from 'fastify';

import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function serverRoutes(route: Route, { version, ready }: Faces, server: FastifyInstance): void {
  route('server.health', async () => ({ version }));
  route('server.ready', async () => {
    await ready();
    return { version };
  });
  route('server.openapi', async ({ reply }) => reply.serializer(JSON.stringify).send(server.swagger()));
}
