import { readFile, stat } from 'node:fs/promises';

import { reporterOf } from '../artifact/report.ts';
import type { ReportView } from '../flow/view/report.ts';
import { isDigest } from '../lib/digest.ts';
import { CliError, usage } from './cli-error.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { asJob, type JobOptions } from './job.ts';
import { shortSha, table } from './text.ts';
import { duration, needs, type Verb } from './verb.ts';
import { waitFor } from './wait.ts';

interface ReportOptions extends JobOptions {
  readonly service: string;
  readonly commit: string;
  readonly digest: string;
  readonly image?: string;
  readonly provenance?: string;
  readonly wait?: boolean;
  readonly timeout: number;
}

const TIMEOUT_MS = 15 * 60_000;
const MAX_PROVENANCE_BYTES = 512 * 1024;

export const artifact: Verb = (program, run) => {
  const group = program.command('artifact').description('what other CIs built: report, list');

  group
    .command('report')
    .description('report what another CI built of a service at a commit')
    .requiredOption('--service <name>', 'the service, as towpath.yaml calls it')
    .requiredOption('--commit <sha>', 'the commit that it was built from, all digits', commitSha)
    .requiredOption('--digest <digest>', 'sha256:... of the image that was pushed', digestOf)
    .option('--image <repository>', 'registry and repository, where towpath.yaml has a pattern for them')
    .option('--provenance <file>', 'its SLSA provenance')
    .option(
      '--oidc-token <file>',
      'the identity token of the job (- for stdin); else TOWPATH_OIDC_TOKEN, else asked of Actions',
    )
    .option('--oidc-audience <text>', 'whom it is for, where it is asked of Actions; else the address of the server')
    .option('--wait', 'until it is accepted or refused')
    .option('--timeout <duration>', 'how long to wait, such as 10m', duration, TIMEOUT_MS)
    .addHelpText('after', needs('artifact.report'))
    .action(
      run<ReportOptions>(async (called, options) => {
        const { service, commit, digest, image, provenance, wait = false, timeout } = options;
        const context = await asJob(called, options);
        const params = { project: await context.project() };
        const text = provenance === undefined ? undefined : await readProvenance(provenance);
        const body = {
          service,
          commit,
          digest,
          ...(image === undefined ? {} : { image }),
          ...(text === undefined ? {} : { provenance: text }),
        };
        const made = await (await context.client()).call('artifact.report', { params, body });
        const report = wait ? await waitForEnd(context, made, timeout) : made;
        context.out.data(report, lineOf);
        if (report.endedAt === null)
          context.out.note('It is looked at in the background; give --wait to see how it ends.');
        return report.state === 'refused' ? EXIT.refused : EXIT.ok;
      }),
    );

  group
    .command('list')
    .description('the newest reports, and what became of them')
    .addHelpText('after', needs('report.list'))
    .action(
      run(async (context) => {
        const params = { project: await context.project() };
        const reports = await (await context.client()).call('report.list', { params });
        context.out.data(reports, (rows) =>
          table(
            rows.map((row) => [
              row.at,
              row.service,
              shortSha(row.commit),
              row.digest.slice(7, 19),
              reporterOf(row),
              endOf(row),
            ]),
          ),
        );
        return EXIT.ok;
      }),
    );
};

function commitSha(text: string): string {
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)) return text;
  throw usage(`"${text}" is not a commit with all its digits.`, 'Give to --commit what `git rev-parse HEAD` prints.');
}

function digestOf(text: string): string {
  if (isDigest(text)) return text;
  throw usage(
    `"${text}" is not the digest of an image.`,
    'Give to --digest what the push printed: `sha256:` and 64 digits.',
  );
}

async function readProvenance(file: string): Promise<string> {
  const found = await stat(file).catch(() => null);
  if (found === null) throw usage(`There is no file ${file}.`, 'Name the file with --provenance.');
  if (found.size > MAX_PROVENANCE_BYTES)
    throw usage(`${file} has ${found.size} bytes.`, 'Provenance has at most 512 KiB.');
  return readFile(file, 'utf8');
}

function waitForEnd(context: Context, started: ReportView, timeoutMs: number): Promise<ReportView> {
  return waitFor(context, {
    project: started.project,
    started,
    look: (client) => client.call('report.show', { params: { project: started.project, report: started.id } }),
    isOver: ({ endedAt }) => endedAt !== null,
    line: lineOf,
    timeoutMs,
    tooLong: (report) =>
      new CliError({
        code: 'cli.timeout',
        what: `The time is over and the report has not ended: ${lineOf(report)}`,
        fix: 'It goes on; the same command asks again and reports nothing twice.',
      }),
  });
}

function lineOf(report: ReportView): string {
  return `${report.service} of ${shortSha(report.commit)}: ${report.digest} ${endOf(report)}`;
}

function endOf({ state, problem, until, key }: ReportView): string {
  switch (state) {
    case 'waiting':
      return `waits for its commit, until ${until ?? ''}`;
    case 'checking':
      return 'is being looked at';
    case 'accepted':
      return `is accepted (key ${key?.slice(0, 12) ?? ''})`;
    case 'refused':
      return `is refused: ${problem?.what ?? ''} ${problem?.fix ?? ''}`;
    default:
      return state satisfies never;
  }
}
