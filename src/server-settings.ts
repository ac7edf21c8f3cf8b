import type { Scheme } from './git/remote.ts';
import type { InstallationOptions } from './installation.ts';
import { TowpathError } from './lib/error.ts';

/** https and ssh, and what an administrator allows besides (`file`, `http`), separated by commas. */
export function gitSchemes(more: string | undefined): Scheme[] {
  const known = (more ?? '').split(',').filter((word): word is 'http' | 'file' => word === 'http' || word === 'file');
  return ['https', 'ssh', ...known];
}

/** Settings that few need: where caches lie, how often repositories are asked, which ports services get. @throws TowpathError `server.setting-invalid` */
export function settingsOf(
  env: NodeJS.ProcessEnv,
): Pick<
  InstallationOptions,
  'cache' | 'registry' | 'zips' | 'advisories' | 'blobBytes' | 'pollEveryMs' | 'care' | 'firstPort' | 'artifactDays'
> {
  const firstPort = positive(env, 'TOWPATH_FIRST_PORT');
  const pollEveryMs = positive(env, 'TOWPATH_POLL_MS');
  const artifactDays = positive(env, 'TOWPATH_ARTIFACT_DAYS');
  const blobMegabytes = positive(env, 'TOWPATH_REGISTRY_BLOB_MB');
  return {
    cache: env['TOWPATH_CACHE'],
    registry: env['TOWPATH_REGISTRY'] || undefined,
    zips: env['TOWPATH_ZIPS'] || undefined,
    advisories: env['TOWPATH_ADVISORIES'] || undefined,
    ...(blobMegabytes === undefined ? {} : { blobBytes: blobMegabytes * 1024 ** 2 }),
    ...(pollEveryMs === undefined ? {} : { pollEveryMs }),
    care: {
      everyMs: positive(env, 'TOWPATH_CARE_MS'),
      eventDays: positive(env, 'TOWPATH_EVENT_DAYS'),
      logDays: positive(env, 'TOWPATH_LOG_DAYS'),
      fileDays: positive(env, 'TOWPATH_FILE_DAYS'),
    },
    ...(artifactDays === undefined ? {} : { artifactDays }),
    ...(firstPort === undefined ? {} : { firstPort }),
  };
}

/** What was meant to be set is not silently something else. */
function positive(env: NodeJS.ProcessEnv, variable: string): number | undefined {
  const text = env[variable] ?? '';
  if (text === '') return undefined;
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new TowpathError({
    code: 'server.setting-invalid',
    what: `${variable} is "${text.slice(0, 40)}", which is no number above 0.`,
    fix: 'Write digits only, or unset it for the default; docs/guide/operating.md names each variable.',
  });
}
