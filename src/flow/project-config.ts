import { CONFIG_FILE, parseConfig, type ProjectConfig } from '../config/config.ts';
import { TowpathError } from '../lib/error.ts';
import type { House } from './house.ts';

/**
 * The configuration as a commit has it: what to build and test is read from there (invariant 15).
 * @throws ConfigError; TowpathError `config.missing`
 */
export async function configAt(house: House, repositoryId: string, commit: string): Promise<ProjectConfig> {
  const mirror = await house.mirrorOf(repositoryId);
  const text = await mirror.file(commit, CONFIG_FILE);
  if (text !== null) return parseConfig(text, house.families);
  throw new TowpathError({
    code: 'config.missing',
    what: `Commit ${commit.slice(0, 7)} has no ${CONFIG_FILE}.`,
    fix: `Write one at the root of the repository; the guide begins with an example.`,
  });
}
