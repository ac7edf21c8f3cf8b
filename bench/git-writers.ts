import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { sha256 } from '../src/lib/digest.ts';

const execute = promisify(execFile);

async function git(directory: string, ...argv: string[]): Promise<string> {
  const env = {
    PATH: process.env['PATH'],
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'Ada Example',
    GIT_AUTHOR_EMAIL: 'ada@example.com',
    GIT_COMMITTER_NAME: 'Ada Example',
    GIT_COMMITTER_EMAIL: 'ada@example.com',
  };
  return (await execute('git', ['-C', directory, ...argv], { env, maxBuffer: 1 << 28 })).stdout.trim();
}

/** How often somebody tries who has to push now. */
const MOST_TRIES = 30;

/** Where the manifest of an app stands: a hundred to a folder. */
export function fileOf(app: number): string {
  return `apps/${Math.floor(app / 100)}/${app}.yaml`;
}

export interface Outsider {
  /** One commit of a file of its own, by the git binary. @returns how often it was pushed until it was there; 0: never */
  commit(): Promise<number>;
  close(): Promise<void>;
}

/** Somebody who works with a clone that is there, fetches, commits and pushes, and tries again when others were faster. */
export async function outsider(url: string, directory: string): Promise<Outsider> {
  await mkdir(directory, { recursive: true });
  await git(directory, 'clone', '--quiet', '--depth=1', '--no-checkout', url, 'work');
  const work = join(directory, 'work');
  let count = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const commit = async (): Promise<number> => {
    const file = join(directory, 'note');
    await writeFile(file, `note ${(count += 1)}\n`);
    const blob = await git(work, 'hash-object', '-w', file);
    for (let attempt = 1; attempt <= MOST_TRIES; attempt++) {
      await git(work, 'fetch', '--quiet', '--depth=1', 'origin', 'main');
      await git(work, 'read-tree', 'FETCH_HEAD');
      await git(work, 'update-index', '--add', '--cacheinfo', `100644,${blob},outside.txt`);
      const tree = await git(work, 'write-tree');
      const made = await git(work, 'commit-tree', tree, '-p', 'FETCH_HEAD', '-m', 'A note');
      const isThere = await git(work, 'push', '--quiet', 'origin', `${made}:refs/heads/main`).then(
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
    close: () => rm(directory, { recursive: true, force: true }),
  };
}

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
