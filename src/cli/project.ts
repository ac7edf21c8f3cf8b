import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

import { Option } from 'commander';

import type { ProjectView } from '../flow/view/project.ts';
import { hosts } from '../source/hosts.ts';
import { usage } from './cli-error.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { duration, needs, type Verb } from './verb.ts';
import { waitFor } from './wait.ts';

export const project: Verb = (program, run) => {
  const group = program.command('project').description('projects: add, set, list, refresh, remove');

  group
    .command('add')
    .description('watch one more repository')
    .argument('<url>', 'https://, ssh://, user@host:path; a folder of its machine where the server allows it')
    .option('--name <name>', 'else it is read from towpath.yaml')
    .option('--credential <reference>', 'where its token or key is: env:NAME or file:/path; never the value')
    .addOption(hostOption('what kind of server it is on, where its URL does not say it'))
    .addHelpText('after', needs('project.add'))
    .action(
      run<{ name?: string; credential?: string; host?: string }>(async (context, options, url = '') => {
        const body = { url: asGiven(url), ...options };
        context.out.data(await (await context.client()).call('project.add', { body }), projectText);
        return EXIT.ok;
      }),
    );

  group
    .command('set')
    .description(
      'say on what host its repository is, with what it is reached, what signs its webhooks, and whether it is told',
    )
    .addOption(hostOption('what kind of server it is on; `none`: what its URL says', 'none'))
    .option('--credential <reference>', 'env:NAME or file:/path of a token or a key; `none` takes it away')
    .option('--webhook-secret <reference>', 'env:NAME or file:/path of the secret; `none` takes it away')
    .option(
      '--notices <reference>',
      'of a token with which its host is told what becomes of commits; `none`: it is not told',
    )
    .option('--repository <name>', 'a member, as towpath.yaml of the home repository calls it; else the home itself')
    .addHelpText('after', needs('project.change'))
    .action(
      run<Changes & { repository?: string }>(async (context, { repository, ...changes }) => {
        if (Object.keys(changes).length === 0)
          throw usage('Nothing is set.', 'Give --host, --credential, --webhook-secret or --notices.');
        const body = {
          ...Object.fromEntries(
            Object.entries(changes).map(([name, reference]) => [name, reference === 'none' ? null : reference]),
          ),
          ...(repository === undefined ? {} : { repository }),
        };
        const params = { project: await context.project() };
        context.out.data(await (await context.client()).call('project.change', { params, body }), projectText);
        return EXIT.ok;
      }),
    );

  group
    .command('list')
    .description('what is watched, and whether it can be read; with --project, that one')
    .addHelpText('after', needs('project.list'))
    .action(
      run(async (context) => {
        const [all, named] = [await (await context.client()).call('project.list'), context.namedProject()];
        const answer = all.filter(({ name }) => named === undefined || name === named);
        if (named !== undefined && answer.length === 0)
          throw usage(
            `The server watches no project "${named}".`,
            '`towpath project list` without --project lists all.',
          );
        context.out.data(answer, (projects) => projects.map(projectText).join('\n\n'));
        return EXIT.ok;
      }),
    );

  group
    .command('remove')
    .description('watch it no more, and end every environment of it; what was recorded stays')
    .argument('<project>', 'which one')
    .option('--yes', 'do it: all that runs in it is taken down')
    .option('--wait', 'until it is gone')
    .option('--timeout <duration>', 'how long to wait, such as 10m', duration)
    .addHelpText('after', needs('project.remove'))
    .action(
      run<{ yes?: boolean; wait?: boolean; timeout?: number }>(async (context, options, name = '') => {
        const client = await context.client();
        const params = { project: name };
        if (options.yes !== true) {
          const names = (await client.call('environment.list', { params })).map((one) => one.name);
          const all = names.length === 0 ? 'It has no environment.' : `What runs in ${names.join(', ')} is taken down.`;
          throw usage(`This ends ${name}. ${all}`, `Give --yes: \`towpath project remove ${name} --yes\`.`);
        }
        const answer = await client.call('project.remove', { params });
        if (options.wait === true) await waitUntilGone(context, answer, options.timeout);
        context.out.data(answer, () => `${name} ${options.wait === true ? 'is gone' : 'is ending'}.`);
        return EXIT.ok;
      }),
    );

  group
    .command('refresh')
    .description('poll the repositories of the project now')
    .addHelpText('after', needs('project.refresh'))
    .action(
      run(async (context) => {
        const name = await context.project();
        await (await context.client()).call('project.refresh', { params: { project: name } });
        context.out.data({ project: name }, () => `${name} is being polled.`);
        return EXIT.ok;
      }),
    );
};

/** A folder is meant as seen from here, and the server stands elsewhere. */
export function asGiven(repository: string): string {
  return existsSync(repository) ? resolve(repository) : repository;
}

async function waitUntilGone(context: Context, { id, name }: ProjectView, timeoutMs?: number): Promise<void> {
  await waitFor(context, {
    project: name,
    look: async (client) => (await client.call('project.list')).some((one) => one.id === id),
    isOver: (isThere) => !isThere,
    line: (isThere) => `${name} ${isThere ? 'is ending' : 'is gone'}`,
    timeoutMs,
  });
}

function hostOption(description: string, ...more: string[]): Option {
  return new Option('--host <kind>', description).choices([...hosts.map(({ name }) => name), ...more]);
}

interface Changes {
  readonly host?: string;
  readonly credential?: string;
  readonly webhookSecret?: string;
  readonly notices?: string;
}

function projectText({ name, endingSince, repositories }: ProjectView): string {
  const lines = repositories.flatMap(
    ({ name: member, url, host, defaultBranch, polledAt, credential, webhook, notices, problem, configProblem }) => [
      `  ${member === null ? '' : `${member}: `}${url} (${host === 'plain' ? '' : `${host}, `}${defaultBranch}), ${polledAt === null ? 'not polled yet' : `polled ${polledAt}`}`,
      ...(credential === null ? [] : [`  reached with ${credential}`]),
      ...(webhook.secret === null ? [] : [`  webhook ${webhook.path}, signed with ${webhook.secret}`]),
      ...(notices.token === null ? [] : [`  told what becomes of its commits, with ${notices.token}`]),
      ...[problem, configProblem, notices.problem].flatMap((trouble) =>
        trouble === null ? [] : [`  ! ${trouble.what} ${trouble.fix}`],
      ),
    ],
  );
  return [endingSince === null ? name : `${name} (ending: what runs is taken down)`, ...lines].join('\n');
}
