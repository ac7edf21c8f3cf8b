import type { GivenUpArtifact, SweepView, SweptManifest } from '../flow/view/registry.ts';
import { EXIT } from './exit.ts';
import { table } from './text.ts';
import { needs, type Verb } from './verb.ts';

export const registry: Verb = (program, run) => {
  const group = program
    .command('registry')
    .description('what rests in the registry: sweep')
    .addHelpText('after', needs('registry.sweep'));

  group
    .command('sweep')
    .description('remove the images that nothing needs; the server does so by itself once an hour')
    .option('--dry-run', 'say what would go, and remove nothing')
    .option('--all', 'say of what stays, too, why it does')
    .addHelpText('after', needs('registry.sweep'))
    .action(
      run<{ dryRun?: boolean; all?: boolean }>(async (context, { dryRun = false, all = false }) => {
        const answer = await (await context.client()).call('registry.sweep', { body: { dryRun } });
        context.out.data(answer, (view) => sweepText(view, all));
        return EXIT.ok;
      }),
    );
};

function sweepText({ dryRun, registry: host, before, givesUp, goes, stays, removed }: SweepView, all: boolean): string {
  const rows = [
    ...givesUp.map((one) => givenUpRow(dryRun ? 'would be given up' : 'given up', one)),
    ...goes.map((one) => row(dryRun ? 'would go' : 'went', one)),
    ...(all ? stays.map((one) => row('stays', one)) : []),
  ];
  const of = `${goes.length} of ${goes.length + stays.length} manifests in ${host}`;
  return [
    ...(rows.length === 0 ? [] : [table(rows)]),
    removed === null
      ? `${of} would go. What was used since ${before} stays in any case.${all ? '' : ' --all says why the others stay.'}`
      : `${of} went: ${megabytes(removed.bytes)} in ${removed.files} files.`,
  ].join('\n');
}

function givenUpRow(what: string, { project, service, digest, release, reasons }: GivenUpArtifact): string[] {
  const why = [`of #${release}`, ...reasons.map((reason) => `it ${reason}`)].join('; ');
  return [what, `${project}/${service}`, digest.slice(0, 19), '', why];
}

function row(what: string, { repository, digest, bytes, reasons }: SweptManifest): string[] {
  return [what, repository, digest.slice(0, 19), megabytes(bytes), reasons.map((reason) => `it ${reason}`).join('; ')];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
