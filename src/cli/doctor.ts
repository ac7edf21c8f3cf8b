import { execFile } from 'node:child_process';
import { access, constants, mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';

import { missingText } from '../flow/view/environment.ts';
import { problemOf } from '../lib/error.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { dataDirectoryOf } from './settings.ts';
import { table } from './text.ts';
import type { Verb } from './verb.ts';

/** `missing` is worth knowing, `broken` keeps Towpath from working. */
interface Finding {
  readonly part: string;
  readonly state: 'good' | 'missing' | 'broken';
  readonly what: string;
  readonly fix: string | null;
}

const run = promisify(execFile);

export const doctor: Verb = (program, verb) => {
  program
    .command('doctor')
    .description('look at this machine and the server, and say what is missing')
    .action(
      verb(async (context) => {
        const looks = await Promise.all([
          nodeVersion(),
          gitVersion(),
          dataDirectory(dataDirectoryOf(context.common, context.io)),
          tool(
            'docker',
            ['version', '--format', '{{.Server.Version}}'],
            'The docker driver needs it; so does the dockerfile builder where there is no Buildah.',
          ),
          tool('buildah', ['--version'], 'The dockerfile builder needs it where there is no Docker.'),
          tool('bwrap', ['--version'], 'Checks and install scripts then run by runc, Docker, or not isolated.'),
          tool('runc', ['--version'], 'Checks and install scripts then run by bwrap, Docker, or not isolated.'),
          server(context),
          images(context),
        ]);
        const findings = [...looks, ...(await hosts(context))];
        context.out.data(findings, (all) => {
          const colours = { good: 'green', missing: 'yellow', broken: 'red' } as const;
          const rows = all.map(({ part, state, what, fix }) => [state, part, fix === null ? what : `${what} ${fix}`]);
          return table(rows, (cell, row, column) => {
            const finding = all[row];
            return column === 0 && finding ? context.out.paint(colours[finding.state], cell) : cell;
          });
        });
        return findings.some(({ state }) => state === 'broken') ? EXIT.failed : EXIT.ok;
      }),
    );
};

async function nodeVersion(): Promise<Finding> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isGood = major > 20 || (major === 20 && minor >= 19);
  const what = `Node ${process.versions.node}`;
  return isGood ? good('node', what) : broken('node', `${what} is too old.`, 'Install Node 20.19 or later.');
}

async function gitVersion(): Promise<Finding> {
  const text = await outputOf('git', ['--version']);
  const [, major, minor] = /(\d+)\.(\d+)/.exec(text ?? '') ?? [];
  if (text === null || major === undefined) return broken('git', 'There is no git.', 'Install git 2.38 or later.');
  const isGood = Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 38);
  return isGood ? good('git', text) : broken('git', `${text} is too old.`, 'Install git 2.38 or later.');
}

async function dataDirectory(directory: string): Promise<Finding> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return good('data', directory);
  } catch {
    return broken('data', `${directory} cannot be written.`, 'Give its owner, or name another with --data.');
  }
}

async function tool(name: string, argv: readonly string[], use: string): Promise<Finding> {
  const text = await outputOf(name, argv);
  return text === null
    ? { part: name, state: 'missing', what: `${name} does not answer.`, fix: use }
    : good(name, text.split('\n')[0] ?? '');
}

async function server(context: Context): Promise<Finding> {
  try {
    const client = await context.client();
    const { version } = await client.call('server.health');
    const me = await client.call('access.me');
    return good('server', `${client.server}, version ${version}; you are ${me.user} (${me.roles.join(', ')})`);
  } catch (error) {
    const { what, fix } = problemOf(error);
    return { part: 'server', state: 'missing', what, fix };
  }
}

/** What environments need and the registry has not: rather found now than when it is needed. */
async function images(context: Context): Promise<Finding> {
  try {
    const { projects } = await (await context.client()).call('matrix.read', { query: {} });
    const gone = projects.flatMap(({ name, environments }) =>
      environments.flatMap((environment) =>
        environment.missing.map((image) => `${name}/${environment.name}: ${missingText(image)}`),
      ),
    );
    if (gone.length === 0) return good('images', 'What runs and what can be rolled back to is in the registry.');
    return broken('images', gone.join(' '), 'Bring it back from a backup of the registry, by its digest.');
  } catch {
    return {
      part: 'images',
      state: 'missing',
      what: 'Nobody could be asked for them.',
      fix: 'See what is said of the server.',
    };
  }
}

/** Git hosts that cannot be told what becomes of commits; nothing where there is no server to ask. */
async function hosts(context: Context): Promise<Finding[]> {
  try {
    const projects = await (await context.client()).call('project.list');
    return projects.flatMap(({ name, repositories }) =>
      repositories.flatMap(({ notices: { problem } }) =>
        problem === null
          ? []
          : [{ part: `git host of ${name}`, state: 'missing' as const, what: problem.what, fix: problem.fix }],
      ),
    );
  } catch {
    return []; // `server` says why
  }
}

async function outputOf(program: string, argv: readonly string[]): Promise<string | null> {
  try {
    return (await run(program, [...argv], { timeout: 10_000 })).stdout.trim();
  } catch {
    return null;
  }
}

function good(part: string, what: string): Finding {
  return { part, state: 'good', what, fix: null };
}

function broken(part: string, what: string, fix: string): Finding {
  return { part, state: 'broken', what, fix };
}
