import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

import { CONFIG_FILE } from '../../config/config-file.ts';
import { parseConfig } from '../../config/config.ts';
import { families } from '../../config/families.ts';
import { planStarter, type Starter } from '../../config/starter/starter.ts';
import type { StarterService, Survey } from '../../config/starter/survey.ts';
import { writeStarter } from '../../config/starter/write.ts';
import { findDocker } from '../../container/docker/engine.ts';
import { git } from '../../git/git.ts';
import type { TowpathError } from '../../lib/error.ts';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit.ts';
import type { Context } from '../context.ts';

export interface InitOptions {
  readonly yes?: boolean;
  readonly force?: boolean;
  readonly stdout?: boolean;
}

/** Writes a first configuration for the repository whose root the folder is. */
export async function writeFirst({ out, io }: Context, options: InitOptions, folder: string): Promise<number> {
  const { yes = false, force = false, stdout = false } = options;
  const root = resolve(folder);
  const file = join(root, CONFIG_FILE);
  if (!stdout && !force && existsSync(file)) throw isThere(file); // before anything is asked
  const found = planStarter(await surveyOf(root));
  if (found.services.length === 0) throw nothingFound(root, found.notes);
  const starter = yes || io.ask === null || out.json ? found : await completed(found, io.ask);
  const text = writeStarter(starter);
  parseConfig(text, families); // what it says is what the server will read
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
}

/** Asks only what cannot be seen: where a service listens whose files do not say so. */
async function completed(starter: Starter, ask: (question: string) => Promise<string>): Promise<Starter> {
  const services: StarterService[] = [];
  for (const service of starter.services) {
    const { name, build, port } = service;
    if (build.kind !== 'dockerfile' || build.isBase || port !== null) services.push(service);
    else {
      services.push({ ...service, port: await askedPort(`On which port does ${name} listen?`, ask) });
    }
  }
  const answered = services.filter(({ port }, at) => port !== starter.services[at]?.port).map(({ name }) => name);
  const notes = starter.notes.filter(
    (note) => !answered.some((name) => note.startsWith(`${name}: its Dockerfile has no EXPOSE`)),
  );
  return { ...starter, services, notes };
}

/** An answer that is no port is no silent "none": it is asked again. */
async function askedPort(question: string, ask: (question: string) => Promise<string>): Promise<number | null> {
  for (let asked = `${question} (none) `; ; asked = `A port is a number from 1 to 65535. ${question} (none) `) {
    const answer = (await ask(asked)).trim();
    const port = Number(answer);
    if (answer === '' || answer === 'none') return null;
    if (/^\d+$/.test(answer) && port > 0 && port < 65_536) return port;
  }
}

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
  const lines = async (...args: readonly [string, ...string[]]): Promise<string[]> =>
    (await ask(...args)).split('\n').filter((line) => line !== '');
  const parts = (text: string): string[] => text.split('\0').filter((part) => part !== '');
  const heads = await lines('for-each-ref', '--format=%(refname:lstrip=2)', 'refs/heads');
  const remote = (await lines('for-each-ref', '--format=%(refname:lstrip=3)', 'refs/remotes/origin')).filter(
    (name) => name !== 'HEAD',
  );
  const [head] = await lines('symbolic-ref', '--quiet', '--short', 'refs/remotes/origin/HEAD');
  const usual = ['main', 'master', 'trunk'].find((name) => heads.includes(name) || remote.includes(name));
  const staged = parts(await ask('ls-files', '-z', '--stage'));
  const submodules = staged
    .filter((line) => line.startsWith('160000 '))
    .map((line) => line.slice(line.indexOf('\t') + 1));
  return {
    name: basename(root),
    branch:
      head?.replace(/^origin\//, '') ?? usual ?? ((await ask('symbolic-ref', '--short', 'HEAD')).trim() || 'main'),
    branches: [...new Set([...heads, ...remote])],
    tags: await lines('for-each-ref', '--format=%(refname:lstrip=2)', 'refs/tags'),
    files: parts(listed).filter((file) => !submodules.includes(file)),
    submodules,
    lfs: await keptByLfs(root, staged.length === 0 ? '' : listed),
    docker: (await findDocker().catch(() => null)) !== null,
    read(path) {
      try {
        return readFileSync(join(root, path), 'utf8').slice(0, LONGEST_TEXT);
      } catch {
        return null; // deleted in the work tree, or a folder of another repository
      }
    },
  };
}

/** What `.gitattributes` gives to Git LFS. */
async function keptByLfs(root: string, listed: string): Promise<string[]> {
  const place = { gitDir: join(root, '.git'), directories: [root], okCodes: [0, 1, 128] };
  const { stdout } = await git(['-C', root, 'check-attr', '-z', '--stdin', 'filter'], { ...place, input: listed });
  const words = stdout.toString('utf8').split('\0'); // path, attribute, value; and again
  return words.filter((_, at) => at % 3 === 0 && words[at + 2] === 'lfs');
}

const LONGEST_TEXT = 256 * 1024;

async function write(file: string, text: string, force: boolean): Promise<void> {
  try {
    await writeFile(file, text, { flag: force ? 'w' : 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw isThere(file);
  }
}

function isThere(file: string): TowpathError {
  return new CliError({
    code: 'cli.file-exists',
    what: `${file} is there already.`,
    fix: '`--stdout` shows what would be written, `--force` writes over it.',
  });
}

function nothingFound(root: string, notes: readonly string[]): TowpathError {
  return new CliError({
    code: 'cli.nothing-to-build',
    what: [
      `Nothing in ${root} looks like a service: a folder with a Dockerfile, a serverless.yml, or a package.json that Node starts.`,
      ...notes,
    ].join('\n'),
    fix: 'Write towpath.yaml by hand: docs/guide/first-steps.md begins with an example.',
  });
}
