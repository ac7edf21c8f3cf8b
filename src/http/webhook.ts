import type { FastifyInstance } from 'fastify';

import type { Faces } from './faces.ts';
import { createRouter } from './router.ts';

const LIMIT_BYTES = 5 * 1024 * 1024;

/**
 * The signature is over the very bytes, so within this scope a body is never parsed. It only wakes the poll: the answer
 * is out before anything is fetched.
 */
export async function webhookRoutes(server: FastifyInstance, { useCases, guard }: Faces): Promise<void> {
  await server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: LIMIT_BYTES }, (_request, body, done) =>
      done(null, body),
    );
    createRouter(scope, guard)('webhook.receive', async ({ params, request, reply }) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const outcome = await useCases.webhook(params.repository, singleHeaders(request.headers), body);
      reply.code(outcome === 'woken' ? 202 : 200);
      return reply.send({ outcome });
    });
  });
}

function singleHeaders(headers: NodeJS.Dict<string | string[]>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  );
}
