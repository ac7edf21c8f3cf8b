import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const examples = fileURLToPath(new URL('../../examples/', import.meta.url));

/** A real git repository in a folder of its own, with people who commit to it. */
export interface TestRepository {
  readonly url: string;
  readonly directory: string;
  git(...args: string[]): Promise<string>;
  /** Writes files (a null removes one) and commits them on the branch that is checked out. @returns the commit */
  commit(subject: string, files?: Readonly<Record<string, string | null>>): Promise<string>;
  /** Lays a change of `examples/shop-changes` over the work tree and commits it. */
  commitChange(name: string, subject: string): Promise<string>;
  remove(): Promise<void>;
}

/** @param example a folder of `examples/`, copied and committed on `main`; empty when it is not given */
export async function createRepository(example?: string): Promise<TestRepository> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-repository-'));
  const git = async (...args: string[]): Promise<string> => {
    const identity = {
      GIT_AUTHOR_NAME: 'Ana',
      GIT_AUTHOR_EMAIL: 'ana@shop.example',
      GIT_COMMITTER_NAME: 'Ana',
      GIT_COMMITTER_EMAIL: 'ana@shop.example',
    };
    const { stdout } = await run('git', args, {
      cwd: directory,
      env: { PATH: process.env['PATH'], HOME: directory, GIT_CONFIG_NOSYSTEM: '1', ...identity },
    });
    return stdout.trim();
  };
  const commit = async (subject: string, files: Readonly<Record<string, string | null>> = {}): Promise<string> => {
    for (const [path, text] of Object.entries(files)) {
      const file = join(directory, path);
      await mkdir(dirname(file), { recursive: true });
      await (text === null ? rm(file) : writeFile(file, text));
    }
    await git('add', '--all');
    await git('commit', '--quiet', '--allow-empty', '--message', subject);
    return git('rev-parse', 'HEAD');
  };
  await git('init', '--quiet', '--initial-branch=main');
  if (example !== undefined) {
    await cp(join(examples, example), directory, { recursive: true });
    await commit('A shop');
  }
  return {
    url: `file://${directory}`,
    directory,
    git,
    commit,
    async commitChange(name, subject) {
      await cp(join(examples, 'shop-changes', name), directory, { recursive: true });
      return commit(subject);
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
