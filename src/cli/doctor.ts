import { execFile } from 'node:child_process';
import { access, constants, mkdir, statfs } from 'node:fs/promises';
import { promisify } from 'node:util';

import { EXIT } from './exit.ts';
import { broken, type Finding, good, missing } from './finding.ts';
import { lookAtServer } from './look-at-server.ts';
import { dataDirectoryOf } from './settings.ts';
import { table } from './text.ts';
import type { Verb } from './verb.ts';

const run = promisify(execFile);

export const doctor: Verb = (program, verb) => {
  program
    .command('doctor')
    .description('look at this machine and the server, and say what is missing')
    .action(
      verb(async (context) => {
        const data = dataDirectoryOf(context.common, context.io);
        const place = await dataDirectory(data); // makes it: its disk is looked at next
        const machine = await Promise.all([
          nodeVersion(),
          gitVersion(),
          disk(data),
          tool(
            'docker',
            ['version', '--format', '{{.Server.Version}}'],
            'The docker driver needs it; so does the dockerfile builder where there is no Buildah.',
          ),
          tool('buildah', ['--version'], 'The dockerfile builder needs it where there is no Docker.'),
          tool('bwrap', ['--version'], 'Checks and install scripts then run by runc, Docker, or not isolated.'),
          tool('runc', ['--version'], 'Checks and install scripts then run by bwrap, Docker, or not isolated.'),
        ]);
        const findings = [place, ...machine, ...(await lookAtServer(context))];
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
    return broken('data', `${directory} cannot be written.`, 'Run as its owner, or name another with --data.');
  }
}

/** Images, mirrors and the store grow: below the first they cannot, below the second not for long. */
const LEAST_FREE_BYTES = 512 * 1024 ** 2;
const ENOUGH_FREE_BYTES = 5 * 1024 ** 3;

async function disk(directory: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(directory).catch(() => ({ bavail: 0, bsize: 0 }));
  const free = bavail * bsize;
  const what = `${(free / 1024 ** 3).toFixed(1)} GiB free at ${directory}`;
  if (free >= ENOUGH_FREE_BYTES) return good('disk', what);
  const fix = 'Make room, or name another place with --data.';
  return free < LEAST_FREE_BYTES ? broken('disk', `Only ${what}.`, fix) : missing('disk', `Only ${what}.`, fix);
}

async function tool(name: string, argv: readonly string[], use: string): Promise<Finding> {
  const text = await outputOf(name, argv);
  return text === null ? missing(name, `${name} does not answer.`, use) : good(name, text.split('\n')[0] ?? '');
}

async function outputOf(program: string, argv: readonly string[]): Promise<string | null> {
  try {
    return (await run(program, [...argv], { timeout: 10_000 })).stdout.trim();
  } catch {
    return null;
  }
}
