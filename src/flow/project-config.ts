import { CONFIG_FILE, parseConfig, type ProjectConfig } from '../config/config.ts';
import { TowpathError } from '../lib/error.ts';
import type { House } from './house.ts';

/** A commit never changes, so what was read of it holds; the newest are kept. */
const KEPT = 200;
const read = new WeakMap<House, Map<string, Promise<ProjectConfig>>>();

/**
 * The configuration as a commit has it: what to build and test is read from there (invariant 15).
 * @throws ConfigError; TowpathError `config.missing`
 */
export function configAt(house: House, repositoryId: string, commit: string): Promise<ProjectConfig> {
  const known = read.get(house) ?? new Map<string, Promise<ProjectConfig>>();
  read.set(house, known);
  const key = `${repositoryId}:${commit}`;
  const config = known.get(key) ?? readConfig(house, repositoryId, commit);
  known.delete(key);
  known.set(key, config);
  config.catch(() => known.delete(key));
  const [oldest] = known.keys();
  if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  return config;
}

async function readConfig(house: House, repositoryId: string, commit: string): Promise<ProjectConfig> {
  const mirror = await house.mirrorOf(repositoryId);
  const text = await mirror.file(commit, CONFIG_FILE);
  if (text !== null) return parseConfig(text, house.families);
  throw new TowpathError({
    code: 'config.missing',
    what: `Commit ${commit.slice(0, 7)} has no ${CONFIG_FILE}.`,
    fix: `Write one at the root of the repository; the guide begins with an example.`,
  });
}
