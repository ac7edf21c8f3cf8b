import type { ServeOptions, UpOptions } from './cli/house.ts';
import { problemOf } from './lib/error.ts';
import { type Installation, startInstallation } from './installation.ts';
import { gitSchemes, settingsOf } from './server-settings.ts';

/** Everything on this machine, on embedded defaults, until it is told to stop. Local repositories are allowed: it is your machine. */
export async function up(options: UpOptions): Promise<number> {
  const installation = await startInstallation({
    data: options.data,
    ...settingsOf(process.env),
    drivers: options.drivers,
    host: options.host,
    port: options.port,
    publicUrl: options.publicUrl ?? process.env['TOWPATH_PUBLIC_URL'],
    roles: ['api', 'worker'],
    allow: ['https', 'ssh', 'http', 'file'],
  });
  say(`Towpath is ready: ${installation.url}`);
  for (const url of options.repositories) await watch(installation, url);
  return untilStopped(installation, options.signal);
}

/** One server of several on a shared Postgres. */
export async function serve(options: ServeOptions): Promise<number> {
  const installation = await startInstallation({
    data: options.data,
    ...settingsOf(process.env),
    drivers: options.drivers,
    databaseUrl: options.databaseUrl,
    host: options.host,
    port: options.port,
    publicUrl: options.publicUrl ?? process.env['TOWPATH_PUBLIC_URL'],
    roles: options.roles,
    allow: gitSchemes(process.env['TOWPATH_GIT_ALLOW']),
  });
  say(`Towpath is ready: ${installation.url} (${options.roles.join(' and ')})`);
  return untilStopped(installation, options.signal);
}

async function watch(installation: Installation, url: string): Promise<void> {
  try {
    const project = await installation.useCases.projects.add({ url }, 'towpath up');
    say(`Watching ${url} as project "${project.name}".`);
  } catch (error) {
    const { what, fix } = problemOf(error);
    say(`${url} is not watched: ${what} ${fix}`);
  }
}

async function untilStopped(installation: Installation, signal: AbortSignal): Promise<number> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  say('Stopping. What runs in your environments stays up.');
  await installation.stop();
  return 0;
}

/** For people: standard output is for answers. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
