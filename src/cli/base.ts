import type { BaseView, RefreshView } from '../flow/view/base.ts';
import { EXIT } from './exit.ts';
import { table } from './text.ts';
import { needs, type Verb } from './verb.ts';

export const base: Verb = (program, run) => {
  const group = program.command('base').description('pins of outside base images: list, refresh');

  group
    .command('list')
    .description('reference, digest, who pinned it and when, and what is built upon it')
    .addHelpText('after', needs('base.list'))
    .action(
      run(async (context) => {
        const params = { project: await context.project() };
        context.out.data(await (await context.client()).call('base.list', { params }), listText);
        return EXIT.ok;
      }),
    );

  group
    .command('refresh')
    .description('move pins to what their references mean today, and plan the default branch anew')
    .argument('[reference]', 'one of them, such as node:22; by default all that some branch builds upon')
    .option('--dry-run', 'say what would move, and move nothing')
    .addHelpText('after', needs('base.refresh'))
    .action(
      run<{ dryRun?: boolean }>(async (context, options, reference) => {
        const params = { project: await context.project() };
        const body = { ...options, ...(reference === undefined ? {} : { reference }) };
        const answer = await (await context.client()).call('base.refresh', { params, body });
        context.out.data(answer, refreshText);
        return answer.failed.length === 0 ? EXIT.ok : EXIT.failed;
      }),
    );
};

function listText(pins: readonly BaseView[]): string {
  return table(
    pins.map(({ reference, digest, since, by, services }) => [
      reference,
      digest,
      `since ${since} by ${by}`,
      services.length === 0 ? 'no branch builds upon it' : services.join(', '),
    ]),
  );
}

function refreshText({ dryRun, moves, same, failed }: RefreshView): string {
  const moved = dryRun ? 'would move' : 'moved';
  return [
    table(
      moves.map(({ reference, before, after, services }) => [
        `${reference} ${moved}`,
        `${before.slice(7, 19)} -> ${after.slice(7, 19)}`,
        services.join(', '),
      ]),
    ),
    ...(same.length === 0 ? [] : [`As it was: ${same.join(', ')}`]),
    ...failed.map(({ reference, problem }) => `! ${reference}: ${problem.what} ${problem.fix}`),
    ...(dryRun || moves.length === 0 ? [] : ['The head of the default branch is being planned anew.']),
  ]
    .filter((line) => line !== '')
    .join('\n');
}
