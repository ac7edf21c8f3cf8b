import type { FastifyInstance, FastifyRequest } from 'fastify';

import type { Faces } from './faces.ts';
import { createRouter } from './router.ts';

const LIMIT_BYTES = 5 * 1024 * 1024;

/**
 * The signature is over the very bytes, so within this scope a body is never parsed. It only wakes the poll, or a check: the answer
 * is out before anything is fetched.
 */
export async function webhookRoutes(server: FastifyInstance, { useCases, guard }: Faces): Promise<void> {
  await server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: LIMIT_BYTES }, (_request, body, done) =>
      done(null, body),
    );
    const route = createRouter(scope, guard);
    route('webhook.receive', async ({ params, request, reply }) => {
      const outcome = await useCases.webhook(params.repository, singleHeaders(request.headers), bodyOf(request));
      reply.code(outcome === 'woken' ? 202 : 200);
      return reply.send({ outcome });
    });
    route('analysis.receive', async ({ params, request, reply }) => {
      await useCases.analysed(params.repository, singleHeaders(request.headers), bodyOf(request));
      return reply.code(202).send({ outcome: 'woken' });
    });
  });
}

function bodyOf({ body }: FastifyRequest): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}

function singleHeaders(headers: NodeJS.Dict<string | string[]>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  );
}
