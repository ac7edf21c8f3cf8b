import { once } from 'node:events';

import type { Faces } from './faces.ts';
import type { Listener } from './listen.ts';
import { createPacedServer } from './paced-server.ts';
import { createRegistryDoor, isForRegistry } from './registry-door.ts';

const PROBLEM = {
  type: 'about:blank',
  title: 'Not found',
  status: 404,
  code: 'http.worker-only',
  detail: 'This server only works. Ask one that has the role api.',
};

/** The HTTP side of a server that only works: engines of its machine get images from it, and it answers nothing else. */
export function createWorkerServer(
  faces: Pick<Faces, 'guard' | 'passes' | 'registryOpenToLoopback'> & Required<Pick<Faces, 'registry'>>,
): Listener {
  const { registry, guard, passes, registryOpenToLoopback = false } = faces;
  const door = registry && createRegistryDoor({ registry, guard, passes, openToLoopback: registryOpenToLoopback });
  const server = createPacedServer((request, response) => {
    if (door !== undefined && isForRegistry(request.url)) {
      void door(request, response);
      return;
    }
    request.resume();
    response.writeHead(404, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify(PROBLEM));
  });
  return {
    server,
    async listen(where) {
      server.listen(where);
      await once(server, 'listening');
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}
