import { runCli } from './cli/commands.ts';
import type { House, ServeOptions, UpOptions } from './cli/house.ts';
import { processIo } from './cli/io.ts';

/** Servers load when they are asked for: a command that only asks one starts in a tenth of the time. */
const house: House = {
  up: async (options) => (await import('./servers.ts')).up(options satisfies UpOptions),
  serve: async (options) => (await import('./servers.ts')).serve(options satisfies ServeOptions),
  proxy: async (options) => (await import('./proxy.ts')).proxy(options),
  demo: async (options) => (await import('./servers.ts')).demo(options),
};

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
process.exitCode = await runCli(process.argv.slice(2), processIo(stop.signal), house, '0.1.0');
// Whoever was told to end has let go by now; what still runs here is given up, and others take it over.
if (stop.signal.aborted) process.exit();
