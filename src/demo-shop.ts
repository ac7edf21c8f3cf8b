import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL, fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const EXAMPLES = fileURLToPath(new URL('../examples/', import.meta.url));

/** A person of the story: whose name the commits carry. */
const AUTHOR = { name: 'Ana', email: 'ana@shop.example' };

/** The example as a real repository: a bare one that Towpath watches, and the clone that Ana works in. */
export interface Shop {
  /** What Towpath is told to watch. */
  readonly url: string;
  readonly directory: string;
  /** Runs git in the clone. @returns what it printed */
  git(...args: string[]): Promise<string>;
  /** Lays a folder of `examples/shop-changes` over the clone. @returns the folder */
  lay(change: string): Promise<string>;
}

/** @param withDocker takes the configuration that uses containers and has a service made from a Dockerfile */
export async function createShop(folder: string, withDocker: boolean): Promise<Shop> {
  const bare = join(folder, 'shop.git');
  const directory = join(folder, 'shop');
  await mkdir(directory);
  const git = (...args: string[]): Promise<string> => runGit(directory, args);
  await runGit(folder, ['init', '--quiet', '--bare', '--initial-branch=main', bare]);
  await git('init', '--quiet', '--initial-branch=main');
  await cp(join(EXAMPLES, 'shop'), directory, { recursive: true });
  if (withDocker) await copyFile(join(directory, 'towpath.docker.yaml'), join(directory, 'towpath.yaml'));
  await git('add', '--all');
  await git('commit', '--quiet', '--message', 'Open the shop');
  await git('remote', 'add', 'origin', bare);
  await git('push', '--quiet', '--set-upstream', 'origin', 'main');
  return {
    url: pathToFileURL(bare).href,
    directory,
    git,
    async lay(change) {
      const from = join(EXAMPLES, 'shop-changes', change);
      await cp(from, directory, { recursive: true });
      return from;
    },
  };
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
