import type { TestView } from '../flow/view/release.ts';
import { hasCode, problemOf } from '../lib/error.ts';
import { CliError } from './cli-error.ts';
import { cancelled } from './client.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { releaseTitle, table } from './text.ts';
import { duration, needs, type Verb } from './verb.ts';
import { pause } from './wait.ts';

const TIMEOUT_MS = 3_600_000;

interface Answer {
  readonly check: string;
  readonly service: string;
  readonly verdict: 'passed' | 'failed' | 'error' | 'unanswered';
  readonly summary: string;
}

export const test: Verb = (program, run) => {
  program
    .command('test')
    .description('ask the checks of a release again; the newer answer counts')
    .argument('<release>', 'id, number (#12), commit, branch or tag')
    .argument('[check]', 'only the check of this name')
    .option('--wait', 'until each has answered')
    .option('--timeout <duration>', 'how long to wait, such as 10m', duration, TIMEOUT_MS)
    .addHelpText('after', needs('release.test'))
    .action(
      run<{ wait?: boolean; timeout: number }>(async (context, { wait, timeout }, name = '', check = '') => {
        const params = { project: await context.project(), release: name };
        const body = check === '' ? {} : { check };
        const asked = await (await context.client()).call('release.test', { params, body });
        if (wait !== true) {
          context.out.data(asked, textOf);
          context.out.note(`\`towpath release show ${name}\` has the answers, or give --wait.`);
          return EXIT.ok;
        }
        const answers = await answersTo(context, params.project, asked, timeout);
        const verdict = answers.every((answer) => answer.verdict === 'passed') ? 'passed' : 'failed';
        context.out.data({ ...asked, verdict, answers }, () =>
          table(answers.map((answer) => [answer.check, answer.service, answer.verdict, answer.summary])),
        );
        if (verdict === 'failed') context.out.note(`\`towpath logs ${name} CHECK\` shows what a check said.`);
        return verdict === 'passed' ? EXIT.ok : EXIT.failed;
      }),
    );
};

function textOf({ release, asked }: TestView): string {
  return `${releaseTitle(release)}: asked ${asked.map(({ check, service }) => `${check} of ${service}`).join(', ')}`;
}

/** Events are kept, and read on from where the stream broke: so no answer is missed, and none of another test is taken. */
async function answersTo(context: Context, project: string, test: TestView, timeoutMs: number): Promise<Answer[]> {
  const client = await context.client();
  const over = AbortSignal.timeout(timeoutMs);
  const done = new AbortController();
  const signal = AbortSignal.any([over, context.io.signal, done.signal]);
  const answers = new Map<string, Answer>();
  const open = () => test.asked.filter((one) => !answers.has(placeOf(one)));
  const tell = () =>
    context.out.progress(
      open().length === 0
        ? 'all have answered'
        : `waits for ${open()
            .map(({ check, service }) => `${check} of ${service}`)
            .join(', ')}`,
    );
  let { after } = test;
  try {
    for (;;) {
      tell();
      try {
        for await (const event of client.stream('event.follow', { query: { project, after } }, signal)) {
          after = event.id;
          for (const answer of answersIn(event.data, test)) answers.set(placeOf(answer), answer);
          tell();
          if (open().length === 0) return test.asked.flatMap((one) => answers.get(placeOf(one)) ?? []);
        }
      } catch (error) {
        // what the server says is told; a connection that broke is made anew
        if (hasCode(error) && !hasCode(error, 'cli.server-unreachable', 'cli.cancelled', 'http.stopping')) throw error;
      }
      if (context.io.signal.aborted) throw cancelled();
      if (over.aborted) throw tooLong(test);
      await pause(1_000, signal);
    }
  } finally {
    done.abort();
    context.out.settle();
  }
}

function placeOf({ check, service }: { readonly check: string; readonly service: string }): string {
  return JSON.stringify([check, service]);
}

/** What an event says of this test. A check that could not be asked answers for all of its services. */
function answersIn(change: unknown, test: TestView): Answer[] {
  const { kind, data } = change as { kind: string; data: Record<string, unknown> };
  const [, word] = /^check\.(passed|failed|error|unanswered)$/.exec(kind) ?? [];
  if (word === undefined || data['test'] !== test.id) return [];
  const verdict = word as Answer['verdict'];
  const { check, service, summary, problem } = data;
  return test.asked
    .filter((one) => isOf(one.check, check) && (verdict === 'unanswered' || one.service === service))
    .map((one) => ({ ...one, verdict, summary: typeof summary === 'string' ? summary : problemOf(problem).what }));
}

/** `contracts/web` is what `contracts` asks of the pact of one consumer. */
function isOf(asked: string, check: unknown): boolean {
  return asked === check || asked.split('/', 1)[0] === check;
}

function tooLong({ release }: TestView): CliError {
  return new CliError({
    code: 'cli.timeout',
    what: 'The time is over and not every check has answered.',
    fix: `They go on. \`towpath release show ${release.commit.slice(0, 12)}\` has the answers when they are there.`,
  });
}
