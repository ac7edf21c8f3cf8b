import type { EnvironmentDetail, EnvironmentView } from '../flow/view/environment.ts';
import { EXIT } from './exit.ts';
import { releaseTitle, table } from './text.ts';
import { needs, type Verb } from './verb.ts';
import { lineOf } from './wait.ts';

export const env: Verb = (program, run) => {
  const group = program.command('env').description('environments: list, show, remove');

  group
    .command('list')
    .description('environments in the order of the path, previews last')
    .addHelpText('after', needs('environment.list'))
    .action(
      run(async (context) => {
        const params = { project: await context.project() };
        const answer = await (await context.client()).call('environment.list', { params });
        context.out.data(answer, (environments) => table(environments.map(rowOf)));
        return EXIT.ok;
      }),
    );

  group
    .command('show')
    .description('one environment: its trigger, gates, services and history')
    .argument('<environment>', 'which one')
    .addHelpText('after', needs('environment.show'))
    .action(
      run(async (context, _options, environment = '') => {
        const params = { project: await context.project(), environment };
        context.out.data(await (await context.client()).call('environment.show', { params }), detailText);
        return EXIT.ok;
      }),
    );

  group
    .command('remove')
    .description('end a preview, or what towpath.yaml names no more, and all that runs in it')
    .argument('<environment>', 'which one')
    .addHelpText('after', needs('environment.remove'))
    .action(
      run(async (context, _options, environment = '') => {
        const params = { project: await context.project(), environment };
        const answer = await (await context.client()).call('environment.remove', { params });
        context.out.data(answer, ({ name }) => `${name} is ending.`);
        return EXIT.ok;
      }),
    );
};

function rowOf({ name, kind, named, current, hold, open }: EnvironmentView): string[] {
  const notes = [
    named ? '' : 'not named in towpath.yaml any more',
    hold === null ? '' : `held: ${hold.reason}`,
    ...open.map(({ state, release }) => `#${release.number} ${state}`),
  ];
  return [name, kind, current === null ? '-' : releaseTitle(current), notes.filter((note) => note !== '').join('; ')];
}

function detailText(view: EnvironmentDetail): string {
  const { name, trigger, from, gates, driver, current, hold, canRollBack, services, history } = view;
  const facts = [
    ['environment', name],
    ['runs', current === null ? '-' : releaseTitle(current)],
    ['on', trigger],
    ['from', from.join(', ') || '-'],
    ['gates', gates.join(', ') || '-'],
    ['driver', driver],
    ['hold', hold === null ? '-' : `by ${hold.by}: ${hold.reason}`],
    ['can go back to', canRollBack.to === null ? `nothing: ${canRollBack.reason}` : releaseTitle(canRollBack.to)],
  ];
  const running = services.map(({ service, digest, url, since }) => [service, digest.slice(7, 19), since, url ?? '']);
  return [table(facts), table(running), ...history.map((promotion) => `${promotion.createdAt}  ${lineOf(promotion)}`)]
    .filter((part) => part !== '')
    .join('\n\n');
}
