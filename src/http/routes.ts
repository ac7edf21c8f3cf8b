import type { FastifyInstance } from 'fastify';

import { accessRoutes } from './access.ts';
import { baseRoutes } from './base.ts';
import { pactRoutes } from './pact.ts';
import { channelRoutes } from './channel.ts';
import { environmentRoutes } from './environment.ts';
import { evidenceRoutes } from './evidence.ts';
import type { Faces } from './faces.ts';
import { keyRoutes } from './key.ts';
import { pageRoutes } from './page.ts';
import { pathRoutes } from './path.ts';
import { projectRoutes } from './project.ts';
import { promotionRoutes } from './promotion.ts';
import { registryRoutes } from './registry.ts';
import { releaseRoutes } from './release.ts';
import { reportRoutes } from './report.ts';
import { createRouter } from './router.ts';
import { serverRoutes } from './server-routes.ts';
import { streamRoutes } from './stream.ts';
import { webhookRoutes } from './webhook.ts';

/** Every noun's routes, one line each. */
export async function declareRoutes(server: FastifyInstance, faces: Faces): Promise<void> {
  const route = createRouter(server, faces.guard);
  serverRoutes(route, faces, server);
  projectRoutes(route, faces);
  releaseRoutes(route, faces);
  evidenceRoutes(route, faces);
  reportRoutes(route, faces);
  channelRoutes(route, faces);
  baseRoutes(route, faces);
  pactRoutes(route, faces);
  registryRoutes(route, faces);
  promotionRoutes(route, faces);
  environmentRoutes(route, faces);
  pathRoutes(route, faces);
  streamRoutes(route, faces, server);
  keyRoutes(route, faces);
  accessRoutes(route, faces);
  pageRoutes(route, faces.web);
  await webhookRoutes(server, faces);
}
