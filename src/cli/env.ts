import type { EnvironmentDetail, EnvironmentView } from '../flow/view/environment.ts';
import { hasCode } from '../lib/error.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { releaseTitle, table } from './text.ts';
import { duration, needs, type Verb } from './verb.ts';
import { lineOf, waitFor } from './wait.ts';

export const env: Verb = (program, run) => {
  const group = program.command('env').description('environments: list, show, stop, remove');

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
    .command('stop')
    .description('take down what runs in it and hold it: it stays, empty, until something is promoted or it is resumed')
    .argument('<environment>', 'which one')
    .option('--reason <text>', 'shown beside the hold')
    .option('--wait', 'until nothing runs there')
    .option('--timeout <duration>', 'how long to wait, such as 10m', duration)
    .addHelpText('after', needs('environment.stop'))
    .action(
      run<Ending & { reason?: string }>(async (context, { reason, ...options }, environment = '') => {
        const params = { project: await context.project(), environment };
        const body = reason === undefined ? {} : { reason };
        const asked = await (await context.client()).call('environment.stop', { params, body });
        const isOver = (now: readonly EnvironmentView[]): boolean => now.every((place) => place.stopAskedAt === null);
        const left = options.wait === true ? await waitUntil(context, asked, params, isOver, options.timeout) : [];
        context.out.data(
          left.find(({ id }) => id === asked.id) ?? asked,
          ({ name }) => `${name} ${options.wait === true ? 'is empty' : 'is being stopped'}.`,
        );
        return EXIT.ok;
      }),
    );

  group
    .command('remove')
    .description('end a preview, or what towpath.yaml names no more, and all that runs in it')
    .argument('<environment>', 'which one')
    .option('--wait', 'until it is gone')
    .option('--timeout <duration>', 'how long to wait, such as 10m', duration)
    .addHelpText('after', needs('environment.remove'))
    .action(
      run<Ending>(async (context, options, environment = '') => {
        const params = { project: await context.project(), environment };
        const answer = await (await context.client()).call('environment.remove', { params });
        const isGone = (now: readonly EnvironmentView[]): boolean => now.every(({ id }) => id !== answer.id);
        if (options.wait === true) await waitUntil(context, answer, params, isGone, options.timeout);
        context.out.data(answer, ({ name }) => `${name} ${options.wait === true ? 'is gone' : 'is ending'}.`);
        return EXIT.ok;
      }),
    );
};

interface Ending {
  readonly wait?: boolean;
  readonly timeout?: number;
}

/** @returns what there is then of an environment: the places of all repositories in it */
function waitUntil(
  context: Context,
  { environment }: EnvironmentView,
  { project }: { readonly project: string },
  isOver: (now: readonly EnvironmentView[]) => boolean,
  timeoutMs?: number,
): Promise<readonly EnvironmentView[]> {
  return waitFor(context, {
    project,
    look: async (client) => {
      try {
        const all = await client.call('environment.list', { params: { project } });
        return all.filter((one) => one.environment === environment);
      } catch (error) {
        if (hasCode(error, 'project.unknown')) return [];
        throw error;
      }
    },
    isOver,
    line: (now) =>
      now
        .map(({ name, current }) => `${name}: ${current ? `runs ${releaseTitle(current)}` : 'is being emptied'}`)
        .join('; '),
    timeoutMs,
  });
}

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
  const running = services.map(({ service, digest, url, since, runs, observed }) => [
    service,
    digest.slice(7, 19),
    since,
    runs ? (observed ? (url ?? '') : 'committed, not observed') : 'not run here',
  ]);
  return [table(facts), table(running), ...history.map((promotion) => `${promotion.createdAt}  ${lineOf(promotion)}`)]
    .filter((part) => part !== '')
    .join('\n\n');
}
