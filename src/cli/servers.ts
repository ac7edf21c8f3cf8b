import { driverFiles } from '../deploy/outside/driver-files.ts';
import { usage } from './cli-error.ts';
import { DEMO_TARGETS, type DemoTarget } from './house.ts';
import { asGiven } from './project.ts';
import { DEFAULT_PORT, dataDirectoryOf } from './settings.ts';
import { collect, port, type Verb } from './verb.ts';

interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly publicUrl?: string;
  readonly driver: string[];
}

const DRIVER = 'the file of a driver that is not of this version; may be repeated (TOWPATH_DRIVERS)';
const PUBLIC_URL = 'under which address people open the page; git hosts link there';

export const up: Verb = (program, run) => {
  program
    .command('up')
    .description('start everything on this machine: store, registry, server and worker')
    .option('--host <address>', 'where to listen; another than 127.0.0.1 shows the server to the network', '127.0.0.1')
    .option('--port <number>', 'where to listen', port, DEFAULT_PORT)
    .option('--public-url <url>', PUBLIC_URL, webAddress)
    .option('--driver <file>', DRIVER, collect, [])
    .option('--watch <url>', 'a repository to watch from the start; may be repeated', collect, [])
    .action(
      run<ListenOptions & { watch: string[] }>((context, { host, port, publicUrl, driver, watch }) => {
        const data = dataDirectoryOf(context.common, context.io);
        return context.house.up({
          data,
          host,
          port,
          publicUrl,
          drivers: driverFiles(driver, context.io.env['TOWPATH_DRIVERS']),
          repositories: watch.map(asGiven),
          signal: context.io.signal,
        });
      }),
    );
};

export const serve: Verb = (program, run) => {
  program
    .command('serve')
    .description('start one server of several on a shared Postgres (TOWPATH_DATABASE_URL)')
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .option('--port <number>', 'where to listen', port, DEFAULT_PORT)
    .option('--public-url <url>', PUBLIC_URL, webAddress)
    .option('--driver <file>', DRIVER, collect, [])
    .option('--role <role>', 'api or worker; may be repeated; without it, both', collect, [])
    .option('--label <label>', 'what this worker can do, such as docker; may be repeated', collect, [])
    .action(
      run<ListenOptions & { role: string[]; label: string[] }>(
        (context, { host, port, publicUrl, driver, role, label }) => {
          const data = dataDirectoryOf(context.common, context.io);
          const databaseUrl = context.io.env['TOWPATH_DATABASE_URL'];
          const roles = role.length === 0 ? (['api', 'worker'] as const) : role.map(serverRole);
          const { signal } = context.io;
          const drivers = driverFiles(driver, context.io.env['TOWPATH_DRIVERS']);
          return context.house.serve({
            data,
            host,
            port,
            publicUrl,
            databaseUrl,
            roles,
            labels: label,
            drivers,
            signal,
          });
        },
      ),
    );
};

export const proxy: Verb = (program, run) => {
  program
    .command('proxy', { hidden: true })
    .description('the local reverse proxy; the server starts it, and it outlives the server')
    .requiredOption('--state <file>', 'where its routes rest')
    .requiredOption('--socket <path>', 'where it takes orders')
    .action(
      run<{ state: string; socket: string }>((context, { state, socket }) =>
        context.house.proxy({ state, socket, signal: context.io.signal }),
      ),
    );
};

export const demo: Verb = (program, run) => {
  program
    .command('demo')
    .description('play the whole story on an example, from a branch to production')
    .option('--ci', 'no pauses; every step is asserted; ends by itself')
    .option('--port <number>', 'where to listen; else a free one', port)
    .option(
      `--target <name>`,
      `where services run: ${DEMO_TARGETS.join(', ')}; else containers, or processes`,
      demoTarget,
    )
    .option('--registry <place>', 'from which the nodes of the cluster fetch, for the target kubernetes')
    .action(
      run<{ ci?: boolean; port?: number; target?: DemoTarget; registry?: string }>(
        (context, { ci = false, port, target, registry }) => {
          if (registry !== undefined && target !== 'kubernetes')
            throw usage('Only the target kubernetes takes a registry.', 'Leave --registry out.');
          const { data } = context.common;
          return context.house.demo({ data, port, ci, target, registry, signal: context.io.signal });
        },
      ),
    );
};

function webAddress(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).password === '') return text;
  throw usage(`"${text}" is no address of a page.`, 'Give one such as https://towpath.example.com.');
}

function demoTarget(text: string): DemoTarget {
  const target = DEMO_TARGETS.find((name) => name === text);
  if (target !== undefined) return target;
  throw usage(`There is no target "${text}".`, `Choose one of: ${DEMO_TARGETS.join(', ')}.`);
}

function serverRole(text: string): 'api' | 'worker' {
  if (text === 'api' || text === 'worker') return text;
  throw usage(`There is no server role "${text}".`, 'Choose api, worker, or both.');
}
