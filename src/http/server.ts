import { randomUUID } from 'node:crypto';
import type { RequestListener } from 'node:http';

import { fastify, LogController, type FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';

import type { Faces } from './faces.ts';
import { HttpError } from './http-error.ts';
import { keepAnswers } from './idempotency.ts';
import { describeRoutes } from './openapi.ts';
import { sendProblem } from './problem.ts';
import { createPacedServer } from './paced-server.ts';
import { createRegistryDoor, isForRegistry } from './registry-door.ts';
import { guardRoutes } from './router.ts';
import { declareRoutes } from './routes.ts';
import { refuseUnsoundQuestions } from './sound-question.ts';

const BODY_LIMIT_BYTES = 1024 * 1024;

/**
 * The HTTP face: `/api/v1`, the page, webhooks and the embedded registry on one port. It is ready but does not listen.
 * @throws HttpError `http.route-unlisted` when a route is in no table of permissions
 */
export async function createServer(faces: Faces): Promise<FastifyInstance> {
  const server = fastify({
    ...(faces.log === undefined ? { logger: false } : { loggerInstance: faces.log }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT_BYTES,
    exposeHeadRoutes: false,
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply), // of an address that cannot be read
    forceCloseConnections: 'idle',
    genReqId: () => randomUUID(),
    routerOptions: { maxParamLength: 1_000, ignoreTrailingSlash: false },
    serverFactory: serverFactoryOf(faces),
  });
  server.setValidatorCompiler(validatorCompiler);
  server.setSerializerCompiler(serializerCompiler);
  server.setErrorHandler(sendProblem);
  server.setNotFoundHandler((request, reply) => sendProblem(noSuchRoute(request.method, request.url), request, reply));
  acceptEmptyJson(server);
  guardRoutes(server, faces.guard);
  refuseUnsoundQuestions(server);
  keepAnswers(server, faces.answers);
  await describeRoutes(server, faces.version);
  await declareRoutes(server, faces);
  await server.ready();
  return server;
}

/** The registry streams gigabytes and has its own manners, so its requests never enter the framework. */
function serverFactoryOf({ registry, guard, passes, registryOpenToLoopback = false }: Faces) {
  const door = registry && createRegistryDoor({ registry, guard, passes, openToLoopback: registryOpenToLoopback });
  return (handler: RequestListener) =>
    createPacedServer((request, response) => {
      if (door !== undefined && isForRegistry(request.url)) void door(request, response);
      else handler(request, response);
    });
}

/** JSON alone is taken. A client that always sends `content-type: application/json` may send no body where none is asked for. */
function acceptEmptyJson(server: FastifyInstance): void {
  server.removeContentTypeParser(['application/json', 'text/plain']);
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, undefined);
    try {
      done(null, JSON.parse(String(body)));
    } catch {
      done(malformed(), undefined);
    }
  });
}

function malformed(): HttpError {
  return new HttpError({
    code: 'http.body-malformed',
    what: 'The body is not JSON.',
    fix: 'Send JSON with content-type application/json.',
  });
}

function noSuchRoute(method: string, url: string): HttpError {
  const path = url.split('?')[0] ?? '';
  return new HttpError({
    code: 'http.route-missing',
    what: `There is no ${method} ${path.slice(0, 200)}.`,
    fix: 'See /api/v1/openapi.json.',
  });
}
