import { checkTitle } from '../check/check-type.ts';
import type { ReleaseDetail, ReleaseView } from '../flow/view/release.ts';
import { EXIT } from './exit.ts';
import { filesOf } from './release-files.ts';
import { releaseTitle, shortSha, table } from './text.ts';
import { collectServices, needs, wholeNumber, type Verb } from './verb.ts';

export const release: Verb = (program, run) => {
  const group = program.command('release').description('releases: list, show, mix; files that their checks left');

  group
    .command('list')
    .description('releases, newest first')
    .option('--limit <count>', 'how many', wholeNumber, 20)
    .option('--cursor <text>', '`next` of the page before')
    .addHelpText('after', needs('release.list'))
    .action(
      run<{ limit: number; cursor?: string }>(async (context, query) => {
        const params = { project: await context.project() };
        const page = await (await context.client()).call('release.list', { params, query });
        context.out.data(page, ({ items }) => table(items.map(rowOf)));
        if (page.next !== undefined) context.out.note(`There are more: --cursor ${page.next}`);
        return EXIT.ok;
      }),
    );

  group
    .command('show')
    .description('one release: its services, evidence and promotions')
    .argument('<release>', 'id, number (#12), commit, branch or tag')
    .addHelpText('after', needs('release.show'))
    .action(
      run(async (context, _options, name = '') => {
        const params = { project: await context.project(), release: name };
        context.out.data(await (await context.client()).call('release.show', { params }), detailText);
        return EXIT.ok;
      }),
    );

  group
    .command('files')
    .description('files that the runs of its checks left, such as reports and screenshots')
    .argument('<release>', 'id, number (#12), commit, branch or tag')
    .argument('[check]', 'only those of the check of this name')
    .option('--into <folder>', 'save them there, under the names of check and service')
    .addHelpText('after', needs('evidence.show'))
    .action(
      run<{ into?: string }>(async (context, { into }, release = '', check = '') => {
        const files = await filesOf(context, { release, check, into });
        context.out.data(files, (rows) =>
          table(
            rows.map(({ check, service, path, size, gone, saved }) => [
              check,
              service ?? '',
              gone ? 'gone' : sizeText(size),
              saved ?? path,
            ]),
          ),
        );
        if (files.length === 0)
          context.out.note('Its checks have left none: `keep` in towpath.yaml names what is kept.');
        return EXIT.ok;
      }),
    );

  group
    .command('mix')
    .description('cut a release that takes services from several others')
    .argument('<base>', 'the release that all other services come from')
    .requiredOption(
      '--from <service=release>',
      'take this service from another release; may be repeated',
      collectServices,
    )
    .addHelpText('after', needs('release.mix'))
    .action(
      run<{ from: Record<string, string> }>(async (context, { from }, base = '') => {
        const params = { project: await context.project() };
        const question = { params, body: { base, services: from } };
        context.out.data(await (await context.client()).call('release.mix', question), releaseTitle);
        return EXIT.ok;
      }),
    );
};

export const build: Verb = (program, run) => {
  program
    .command('build')
    .description('build again what failed in a release')
    .argument('<release>', 'id, number (#12), commit, branch or tag')
    .addHelpText('after', needs('release.retry'))
    .action(
      run(async (context, _options, name = '') => {
        const params = { project: await context.project(), release: name };
        const answer = await (await context.client()).call('release.retry', { params });
        context.out.data(answer, (view) => `${releaseTitle(view)}: ${view.state}`);
        context.out.note(`Follow a build with \`towpath logs ${name} SERVICE --follow\`.`);
        return EXIT.ok;
      }),
    );
};

function rowOf({ number, names, commit, subject, state, mixed, yanked, author }: ReleaseView): string[] {
  const marks = [mixed ? 'mixed' : '', yanked ? 'YANKED' : ''].filter((mark) => mark !== '').join(' ');
  return [`#${number}`, names.slice(0, 2).join(' '), shortSha(commit), state, marks, author, subject];
}

function sizeText(bytes: number): string {
  return bytes < 1000 ? `${bytes} B` : `${(bytes / 1000).toFixed(1)} kB`;
}

function detailText(view: ReleaseDetail): string {
  const services = view.services.map(({ service, state, digest, commit, reused }) => [
    service,
    state,
    digest?.slice(7, 19) ?? '-',
    shortSha(commit),
    reused ? 'was there already' : 'built for it',
  ]);
  const evidence = view.evidence.map(({ check, type, service, verdict, summary, kept, at }) => [
    checkTitle(check, type),
    service ?? '',
    verdict,
    `${summary}${kept === 0 ? '' : ` (${kept} ${kept === 1 ? 'file' : 'files'})`}`,
    at,
  ]);
  const stops = view.promotions.map(({ environment, state, headline, createdAt }) => [
    createdAt,
    environment,
    state,
    headline,
  ]);
  const head = [
    releaseTitle(view),
    `${view.state}${view.mixed ? ', mixed' : ''}, by ${view.author}, ${view.createdAt}`,
    ...(view.yank === null ? [] : [`yanked by ${view.yank.by}: ${view.yank.reason}`]),
    ...(view.problem === null ? [] : [`${view.problem.what} ${view.problem.fix}`]),
  ].join('\n');
  return [head, table(services), table(evidence), table(stops)].filter((part) => part !== '').join('\n\n');
}
