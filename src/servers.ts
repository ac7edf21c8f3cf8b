import type { ServeOptions, UpOptions } from './cli/house.ts';
import type { Scheme } from './git/remote.ts';
import { problemOf } from './lib/error.ts';
import { type Installation, type InstallationOptions, startInstallation } from './installation.ts';

/** Everything on this machine, on embedded defaults, until it is told to stop. Local repositories are allowed: it is your machine. */
export async function up(options: UpOptions): Promise<number> {
  const installation = await startInstallation({
    data: options.data,
    ...fromEnvironment(),
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
    ...fromEnvironment(),
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

/** https and ssh, and what an administrator allows besides (`file`, `http`), separated by commas. */
function gitSchemes(more: string | undefined): Scheme[] {
  const known = (more ?? '').split(',').filter((word): word is 'http' | 'file' => word === 'http' || word === 'file');
  return ['https', 'ssh', ...known];
}

/** Settings that few need: where caches lie, how often repositories are asked, which ports services get. */
function fromEnvironment(): Pick<
  InstallationOptions,
  'cache' | 'registry' | 'zips' | 'blobBytes' | 'pollEveryMs' | 'care' | 'firstPort' | 'artifactDays'
> {
  const firstPort = Number(process.env['TOWPATH_FIRST_PORT']);
  const pollEveryMs = Number(process.env['TOWPATH_POLL_MS']);
  const artifactDays = positive('TOWPATH_ARTIFACT_DAYS');
  const blobMegabytes = positive('TOWPATH_REGISTRY_BLOB_MB');
  return {
    cache: process.env['TOWPATH_CACHE'],
    registry: process.env['TOWPATH_REGISTRY'] || undefined,
    zips: process.env['TOWPATH_ZIPS'] || undefined,
    ...(blobMegabytes === undefined ? {} : { blobBytes: blobMegabytes * 1024 ** 2 }),
    ...(pollEveryMs > 0 ? { pollEveryMs } : {}),
    care: {
      everyMs: positive('TOWPATH_CARE_MS'),
      eventDays: positive('TOWPATH_EVENT_DAYS'),
      logDays: positive('TOWPATH_LOG_DAYS'),
    },
    ...(artifactDays === undefined ? {} : { artifactDays }),
    ...(firstPort > 0 ? { firstPort } : {}),
  };
}

function positive(variable: string): number | undefined {
  const value = Number(process.env[variable]);
  return value > 0 ? value : undefined;
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
