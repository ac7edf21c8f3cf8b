import { runCli } from './cli/commands.ts';
import type { House, ServeOptions, UpOptions } from './cli/house.ts';
import { processIo } from './cli/io.ts';

/** Servers load when they are asked for: a command that only asks one starts in a tenth of the time. */
const house: House = {
  up: async (options) => (await import('./servers.ts')).up(options satisfies UpOptions),
  serve: async (options) => (await import('./servers.ts')).serve(options satisfies ServeOptions),
  proxy: async (options) => (await import('./proxy.ts')).proxy(options),
  demo: async (options) => (await import('./demo.ts')).demo(options),
};

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
const code = await runCli(process.argv.slice(2), processIo(stop.signal), house, '0.1.0');
// Whoever was told to end has let go by now: what still runs here (an event stream that did not hear that it is over, work
// that others take over) must not keep the process. What was written goes out first.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
