import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { sha256 } from '../src/lib/digest.ts';

const execute = promisify(execFile);

const ENVIRONMENT = {
  PATH: process.env['PATH'],
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Ada Example',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_COMMITTER_NAME: 'Ada Example',
  GIT_COMMITTER_EMAIL: 'ada@example.com',
};

async function git(directory: string, ...argv: string[]): Promise<string> {
  const options = { env: ENVIRONMENT, maxBuffer: 1 << 28 };
  return (await execute('git', ['-C', directory, ...argv], options)).stdout.trim();
}

/** @param entries as `git ls-tree` lists them */
async function treeOf(directory: string, entries: readonly string[]): Promise<string> {
  const running = execute('git', ['-C', directory, 'mktree', '--missing'], { env: ENVIRONMENT });
  running.child.stdin?.end(`${entries.join('\n')}\n`);
  return (await running).stdout.trim();
}

/** How often somebody tries who has to push now. */
const MOST_TRIES = 30;

/** Where the manifest of an app stands: a hundred to a folder. */
export function fileOf(app: number): string {
  return `apps/${Math.floor(app / 100)}/${app}.yaml`;
}

export interface Outsider {
  /** One commit of a file of its own. @returns how often it was made until it was there; 0: never */
  commit(): Promise<number>;
}

/**
 * Commits that come by the host itself, as the button of a pull request makes them: they take a moment, and when somebody was
 * faster they are made anew.
 */
export function host(directory: string): Outsider {
  let count = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const commit = async (): Promise<number> => {
    const file = join(directory, NOTES);
    await writeFile(file, `note ${(count += 1)}\n`);
    const blob = await git(directory, 'hash-object', '-w', file);
    for (let attempt = 1; attempt <= MOST_TRIES; attempt++) {
      const head = await git(directory, 'rev-parse', 'main');
      const others = (await git(directory, 'ls-tree', head)).split('\n').filter((line) => !line.endsWith(`\t${NOTES}`));
      const tree = await treeOf(directory, [...others, `100644 blob ${blob}\t${NOTES}`]);
      const made = await git(directory, 'commit-tree', tree, '-p', head, '-m', 'A note');
      const isThere = await git(directory, 'update-ref', 'refs/heads/main', made, head).then(
        () => true,
        () => false,
      );
      if (isThere) return attempt;
    }
    return 0;
  };
  return {
    commit: () => {
      const mine = turn.then(commit);
      turn = mine.catch(() => undefined);
      return mine;
    },
  };
}

const NOTES = 'outside.txt';

/** Clones, edits, commits and pushes; when somebody was faster, all of it again. @returns how many landed by then */
export async function optimist(url: string, directory: string, file: string, until: number): Promise<number> {
  let landed = 0;
  for (let turn = 0; performance.now() < until; turn++) {
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    await git(directory, 'clone', '--quiet', '--depth=1', url, 'work');
    const work = join(directory, 'work');
    const text = await readFile(join(work, file), 'utf8');
    await writeFile(join(work, file), text.replace(/image: \S+/, `image: shop/web@${sha256(`${directory} ${turn}`)}`));
    await git(work, 'commit', '--quiet', '--all', '--message', 'Promote');
    const isThere = await git(work, 'push', '--quiet', 'origin', 'HEAD:main').then(
      () => true,
      () => false,
    );
    if (isThere && performance.now() < until) landed += 1;
  }
  await rm(directory, { recursive: true, force: true });
  return landed;
}
