import { CONFIG_FILE } from '../config/config-file.ts';
import { parseConfig, type ProjectConfig } from '../config/config.ts';
import { TowpathError } from '../lib/error.ts';
import type { House } from './house.ts';

/** A blob never changes, and most commits leave the file as it was: what was read of it holds; the newest are kept. */
const KEPT = 50;
const read = new WeakMap<House, Map<string, Promise<ProjectConfig>>>();

/**
 * The configuration as a commit has it: what to build and test is read from there (invariant 15).
 * @throws ConfigError; TowpathError `config.missing`
 */
export async function configAt(house: House, repositoryId: string, commit: string): Promise<ProjectConfig> {
  const mirror = await house.mirrorOf(repositoryId);
  const file = await mirror.entry(commit, CONFIG_FILE);
  if (file === null || !file.mode.startsWith('100')) throw missing(commit);
  const known = read.get(house) ?? new Map<string, Promise<ProjectConfig>>();
  read.set(house, known);
  const config = known.get(file.oid) ?? mirror.read(file.oid).then((text) => parseConfig(text, house.families));
  known.delete(file.oid);
  known.set(file.oid, config);
  config.catch(() => known.delete(file.oid));
  const [oldest] = known.keys();
  if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  return config;
}

function missing(commit: string): TowpathError {
  return new TowpathError({
    code: 'config.missing',
    what: `Commit ${commit.slice(0, 7)} has no ${CONFIG_FILE}.`,
    fix: `Write one at the root of the repository; the guide begins with an example.`,
  });
}
