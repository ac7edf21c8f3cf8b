import type { ReleaseView } from '../flow/view/release.ts';
import { EXIT } from './exit.ts';
import { releaseTitle } from './text.ts';
import { needs, type Verb } from './verb.ts';

const RELEASE = 'id, number (#12), commit, branch or tag';

export const yank: Verb = (program, run) => {
  program
    .command('yank')
    .description('bar a release everywhere; what runs stays until it is replaced')
    .argument('<release>', RELEASE)
    .requiredOption('--reason <text>', 'shown to everybody whom it stops')
    .addHelpText('after', needs('release.yank'))
    .action(
      run<{ reason: string }>(async (context, { reason }, release = '') => {
        const params = { project: await context.project(), release };
        context.out.data(await (await context.client()).call('release.yank', { params, body: { reason } }), yankText);
        return EXIT.ok;
      }),
    );
};

export const unyank: Verb = (program, run) => {
  program
    .command('unyank')
    .description('allow a yanked release again')
    .argument('<release>', RELEASE)
    .addHelpText('after', needs('release.unyank'))
    .action(
      run(async (context, _options, release = '') => {
        const params = { project: await context.project(), release };
        context.out.data(await (await context.client()).call('release.unyank', { params }), unyankText);
        return EXIT.ok;
      }),
    );
};

function yankText(release: ReleaseView): string {
  const { yank } = release;
  return `${releaseTitle(release)} ${yank === null ? 'is yanked no more.' : `is yanked by ${yank.by}: ${yank.reason}`}`;
}

/** What was yanked may have been given up meanwhile. */
function unyankText(release: ReleaseView): string {
  const { problem, services } = release;
  const building = services.filter(({ state }) => state === 'building').map(({ service }) => service);
  const gone =
    building.length === 0 ? [] : [`Its artifacts are not there any more. Built again: ${building.join(', ')}.`];
  return [
    `${releaseTitle(release)} is allowed again.`,
    ...gone,
    ...(problem === null ? [] : [`${problem.what} ${problem.fix}`]),
  ].join('\n');
}
