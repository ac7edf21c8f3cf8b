import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What one program is to answer at one path; a promise keeps it, and whoever asked it, waiting. */
export type Conduct = (program: string, path: string) => number | Promise<number>;

/** Where the programs of a stage ask how they are, so that a test decides what is well and when. */
export interface World {
  readonly url: string;
  /** From now on; without an argument as usual: all is well, only `broken` does not do its work. */
  behave(conduct?: Conduct): void;
  close(): Promise<void>;
}

export async function openWorld(): Promise<World> {
  let conduct: Conduct = asUsual;
  const server = createServer((request, response) => {
    const [, program = '', path = ''] = /^\/([^/]*)(\/.*)$/.exec(request.url ?? '') ?? [];
    void Promise.resolve(conduct(program, path)).then((status) => {
      response.statusCode = status;
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    behave: (next = asUsual) => {
      conduct = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function asUsual(program: string, path: string): number {
  return program === 'broken' && path === '/smoke' ? 500 : 200;
}
