import { checkTitle } from '../check/check-type.ts';
import { reporterOf } from '../artifact/report.ts';
import type { LineageView, ReportedView } from '../flow/view/path.ts';
import { EXIT } from './exit.ts';
import { releaseTitle, shortSha, table } from './text.ts';
import { needs, type Verb } from './verb.ts';

export const lineage: Verb = (program, run) => {
  program
    .command('lineage')
    .description('show the way from commit to environment, and back')
    .argument('<subject>', 'a commit, a release, an environment, or a digest or its first six digits')
    .addHelpText('after', needs('path.lineage'))
    .action(
      run(async (context, _options, subject = '') => {
        const client = await context.client();
        const params = { project: await context.project() };
        const answer = await client.call('path.lineage', { params, query: { subject } });
        context.out.data(answer, (view) => lineageText(view, (title) => context.out.paint('bold', title)));
        return EXIT.ok;
      }),
    );
};

function reportedText({ at, commit, image, provenance, ...who }: ReportedView): string {
  const builder = provenance === null ? '' : `, built by ${provenance.builder ?? 'an unnamed builder'}`;
  return `reported by ${reporterOf(who)} for ${shortSha(commit)} at ${at} from ${image}${builder}`;
}

function lineageText(view: LineageView, bold: (title: string) => string): string {
  const commits = view.commits.map(({ sha, author, subject, refs }) => [
    shortSha(sha),
    subject,
    author,
    refs.join(' '),
  ]);
  const releases = view.releases.map((release) => [releaseTitle(release), release.yanked ? 'yanked' : '']);
  const artifacts = view.artifacts.map(({ service, key, digest, builtFor, reported, upon }) => [
    service,
    digest ?? 'not built',
    `key ${key.slice(0, 12)}`,
    reported === null ? `built for ${shortSha(builtFor)}` : reportedText(reported),
    upon.map((base) => `upon ${base.service} (key ${base.key.slice(0, 12)})`).join(', '),
  ]);
  const evidence = view.evidence.map(({ check, type, service, verdict, summary, at }) => [
    checkTitle(check, type),
    service ?? '',
    verdict,
    summary,
    at,
  ]);
  const titles = new Map(view.releases.map((release) => [release.id, releaseTitle(release)]));
  const stops = view.environments.map(({ environment, state, release, at, now }) => [
    environment,
    now ? 'runs now' : state,
    titles.get(release) ?? release,
    at,
  ]);
  const parts = { Commits: commits, Releases: releases, Artifacts: artifacts, Evidence: evidence, Environments: stops };
  return Object.entries(parts)
    .filter(([, rows]) => rows.length > 0)
    .map(([title, rows]) => `${bold(title)}\n${table(rows)}`)
    .join('\n\n');
}
