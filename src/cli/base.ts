import type { BaseView, RefreshView } from '../flow/view/base.ts';
import { EXIT } from './exit.ts';
import { shortSha, table } from './text.ts';
import { needs, type Verb } from './verb.ts';

export const base: Verb = (program, run) => {
  const group = program.command('base').description('what services are built upon: list, refresh');

  group
    .command('list')
    .description(
      'each base with its digest, since when and by whom, what is built upon it, and what runs upon an old one',
    )
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
  const bases = table(
    pins.map(({ kind, reference, digest, since, by, services }) => [
      reference,
      digest,
      kind === 'service' ? `built at ${since} for ${shortSha(by)}` : `since ${since} by ${by}`,
      services.length === 0 ? 'no branch builds upon it' : services.join(', '),
    ]),
  );
  const old = table(
    pins.flatMap(({ reference, digest: now, old: standing }) =>
      standing.map(({ environment, service, digest }) => [
        environment,
        service,
        `stands upon an old ${reference}`,
        `${digest.slice(7, 19)}, now ${now.slice(7, 19)}`,
      ]),
    ),
  );
  return [bases, old].filter((part) => part !== '').join('\n\n');
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
