import type { ProjectView } from '../flow/use-cases.ts';
import { EXIT } from './exit.ts';
import { needs, type Verb } from './verb.ts';

export const project: Verb = (program, run) => {
  const group = program.command('project').description('projects: add, list, refresh');

  group
    .command('add')
    .description('watch one more repository')
    .argument('<url>', 'https://, ssh://, user@host:path; file:// where the server allows it')
    .option('--name <name>', 'else it is read from towpath.yaml')
    .addHelpText('after', needs('project.add'))
    .action(
      run<{ name?: string }>(async (context, { name }, url = '') => {
        const body = name === undefined ? { url } : { url, name };
        context.out.data(await (await context.client()).call('project.add', { body }), projectText);
        return EXIT.ok;
      }),
    );

  group
    .command('list')
    .description('what is watched, and whether it can be read')
    .addHelpText('after', needs('project.list'))
    .action(
      run(async (context) => {
        const answer = await (await context.client()).call('project.list');
        context.out.data(answer, (projects) => projects.map(projectText).join('\n\n'));
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
        context.out.note(`${name} is being polled.`);
        return EXIT.ok;
      }),
    );
};

function projectText({ name, repositories }: ProjectView): string {
  const lines = repositories.flatMap(({ url, defaultBranch, polledAt, problem, configProblem }) => [
    `  ${url} (${defaultBranch}), ${polledAt === null ? 'not polled yet' : `polled ${polledAt}`}`,
    ...[problem, configProblem].flatMap((trouble) => (trouble === null ? [] : [`  ! ${trouble.what} ${trouble.fix}`])),
  ]);
  return [name, ...lines].join('\n');
}
