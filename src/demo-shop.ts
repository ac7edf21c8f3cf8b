import { execFile } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL, fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { type Place, pointAt } from './demo-target.ts';

const run = promisify(execFile);
const EXAMPLES = fileURLToPath(new URL('../examples/', import.meta.url));

/** A person of the story: whose name the commits carry. */
const AUTHOR = { name: 'Ana', email: 'ana@shop.example' };

/** The example as a real repository: a bare one that Towpath watches, and the clone that Ana works in. */
export interface Shop {
  /** What Towpath is told to watch. */
  readonly url: string;
  readonly directory: string;
  /** The bare repository that an environment is written into, from `directory`; null where the target runs what it is given. */
  readonly manifests: string | null;
  /** Runs git in the clone. @returns what it printed */
  git(...args: string[]): Promise<string>;
  /** Lays a folder of `examples/shop-changes` over the clone. @returns the folder */
  lay(change: string): Promise<string>;
}

export async function createShop(folder: string, place: Place): Promise<Shop> {
  const directory = join(folder, 'shop');
  const manifests = join(folder, 'manifests.git');
  await cp(join(EXAMPLES, 'shop'), directory, { recursive: true });
  await pointAt(place, directory, manifests);
  const bare = await publish(directory, 'Open the shop');
  if (place.target === 'gitops') {
    await cp(join(EXAMPLES, 'manifests'), join(folder, 'manifests'), { recursive: true });
    await publish(join(folder, 'manifests'), 'Say what runs of the shop');
  }
  return {
    url: pathToFileURL(bare).href,
    directory,
    manifests: place.target === 'gitops' ? join('..', 'manifests.git') : null,
    git: (...args) => runGit(directory, args),
    async lay(change) {
      const from = join(EXAMPLES, 'shop-changes', change);
      await cp(from, directory, { recursive: true });
      return from;
    },
  };
}

/** Makes a folder a clone of a bare repository beside it, with what it holds as the first commit. @returns the bare one */
async function publish(directory: string, subject: string): Promise<string> {
  const bare = `${directory}.git`;
  const git = (...args: string[]): Promise<string> => runGit(directory, args);
  await git('init', '--quiet', '--bare', '--initial-branch=main', bare);
  await git('init', '--quiet', '--initial-branch=main');
  await git('add', '--all');
  await git('commit', '--quiet', '--message', subject);
  await git('remote', 'add', 'origin', bare);
  await git('push', '--quiet', '--set-upstream', 'origin', 'main');
  return bare;
}

/** What is known of vulnerabilities, as of now: one record of a real database. */
export async function layAdvisories(folder: string): Promise<void> {
  await cp(join(EXAMPLES, 'advisories'), folder, { recursive: true });
  await writeFile(join(folder, 'database.json'), JSON.stringify({ date: new Date().toISOString() }));
}

/** Without the settings of whoever runs the demonstration: hooks, signing and templates are theirs. */
async function runGit(cwd: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run('git', args, {
    cwd,
    env: {
      PATH: process.env['PATH'],
      HOME: cwd,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: AUTHOR.name,
      GIT_AUTHOR_EMAIL: AUTHOR.email,
      GIT_COMMITTER_NAME: AUTHOR.name,
      GIT_COMMITTER_EMAIL: AUTHOR.email,
    },
  });
  return stdout.trim();
}
