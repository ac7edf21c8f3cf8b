import { runCli } from './cli/commands.ts';
import type { House, ServeOptions, UpOptions } from './cli/house.ts';
import { processIo } from './cli/io.ts';
import { isDiskFull } from './lib/disk-full.ts';

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());

// A reader that has seen enough (`towpath logs | head`) is no failure. Servers do not need one, and the demo takes away what it made.
const goOn = (): void => undefined;
let unheard = (): void => process.exit(0);
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    const ofItsLog = unheard === goOn && isDiskFull(error); // ends no server
    if (error.code !== 'EPIPE' && !ofItsLog) throw error;
    unheard();
  });
}

/** Servers load when they are asked for: a command that only asks one starts in a tenth of the time. */
const house: House = {
  up: async (options) => {
    unheard = goOn;
    return (await import('./servers.ts')).up(options satisfies UpOptions);
  },
  serve: async (options) => {
    unheard = goOn;
    return (await import('./servers.ts')).serve(options satisfies ServeOptions);
  },
  proxy: async (options) => {
    unheard = goOn;
    return (await import('./proxy.ts')).proxy(options);
  },
  demo: async (options) => {
    unheard = () => stop.abort();
    return (await import('./demo.ts')).demo(options);
  },
};

const code = await runCli(process.argv.slice(2), processIo(stop.signal), house, '0.1.0');
// Whoever was told to end has let go by now: what still runs here (an event stream that did not hear that it is over, work
// that others take over) must not keep the process. What was written goes out first.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
