import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

import { CONFIG_FILE, parseConfig } from '../config/config.ts';
import { families } from '../config/families.ts';
import { planStarter, type Survey, writeStarter } from '../config/starter.ts';
import { git } from '../git/git.ts';
import type { TowpathError } from '../lib/error.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit.ts';
import type { Verb } from './verb.ts';

export const init: Verb = (program, run) => {
  program
    .command('init')
    .description('write a first towpath.yaml for a repository, from what is in it')
    .argument('[folder]', 'the root of a git repository', '.')
    .option('--force', 'write over the one that is there')
    .option('--stdout', 'print it and write nothing')
    .action(
      run<{ force?: boolean; stdout?: boolean }>(async ({ out }, { force = false, stdout = false }, folder = '.') => {
        const root = resolve(folder);
        const starter = planStarter(await surveyOf(root));
        if (starter.services.length === 0) throw nothingFound(root, starter.notes);
        const text = writeStarter(starter);
        parseConfig(text, families); // what it says is what the server will read
        const file = join(root, CONFIG_FILE);
        if (!stdout) await write(file, text, force);
        const { project, services, notes } = starter;
        out.data({ file: stdout ? null : file, project, services, notes, text }, () =>
          stdout
            ? text.trimEnd()
            : [
                `${file}: ${services.length} service${services.length === 1 ? '' : 's'} (${services.map(({ name }) => name).join(', ')}).`,
                `Look at it, commit it, and have it watched: towpath project add ${folder === '.' ? '"$PWD"' : root}`,
              ].join('\n'),
        );
        for (const note of notes) out.note(`! ${note}`);
        return EXIT.ok;
      }),
    );
};

/** What git would take in of a work tree, and the branch that it is most likely merged to. */
async function surveyOf(root: string): Promise<Survey> {
  const ask = async (...args: readonly [string, ...string[]]): Promise<string> => {
    const place = { gitDir: join(root, '.git'), directories: [root], okCodes: [0, 1, 128] };
    return (await git(['-C', root, ...args], place)).stdout.toString('utf8');
  };
  const listed = await ask('ls-files', '-z', '--cached', '--others', '--exclude-standard');
  if (listed === '' && (await ask('rev-parse', '--git-dir')) === '') {
    throw new CliError({
      code: 'cli.no-repository',
      what: `${root} is not the root of a git repository.`,
      fix: 'Name its root; `git init` makes one.',
    });
  }
  const branches = (await ask('for-each-ref', '--format=%(refname:lstrip=2)', 'refs/heads')).split('\n');
  const usual = ['main', 'master', 'trunk'].find((name) => branches.includes(name));
  return {
    name: basename(root),
    branch: usual ?? ((await ask('symbolic-ref', '--short', 'HEAD')).trim() || 'main'),
    files: listed.split('\0').filter((file) => file !== ''),
    read(path) {
      try {
        return readFileSync(join(root, path), 'utf8').slice(0, LONGEST_TEXT);
      } catch {
        return null; // deleted in the work tree, or a folder of another repository
      }
    },
  };
}

const LONGEST_TEXT = 256 * 1024;

async function write(file: string, text: string, force: boolean): Promise<void> {
  try {
    await writeFile(file, text, { flag: force ? 'w' : 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new CliError({
      code: 'cli.file-exists',
      what: `${file} is there already.`,
      fix: '`--stdout` shows what would be written, `--force` writes over it.',
    });
  }
}

function nothingFound(root: string, notes: readonly string[]): TowpathError {
  return new CliError({
    code: 'cli.nothing-to-build',
    what: [
      `Nothing in ${root} looks like a service: a folder with a Dockerfile, or a package.json that Node starts.`,
      ...notes,
    ].join('\n'),
    fix: 'Write towpath.yaml by hand: docs/guide/first-steps.md begins with an example.',
  });
}
