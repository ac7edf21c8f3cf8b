import type { PromotionView } from '../flow/view/promotion.ts';
import { problemOf } from '../lib/error.ts';
import { usage } from './cli-error.ts';
import { cancelled, type Client } from './client.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { printOutput } from './service-output.ts';
import { promotionNumbered, subjectOf } from './subject.ts';
import { cleanLogLine } from './text.ts';
import { needs, type Verb, wholeNumber } from './verb.ts';
import { pause } from './wait.ts';

/** How often a broken stream is taken up again, at its last line, before it is a failure. */
const RESUMES = 30;

/** What is printed of a service that has printed for weeks. */
const TAIL = 200;

interface LogOptions {
  readonly follow?: boolean;
  readonly output?: boolean;
  readonly tail?: number;
}

export const logs: Verb = (program, run) => {
  program
    .command('logs')
    .description(
      'print the log of a promotion, of what moves into an environment, of a build; or what a service prints',
    )
    .argument('<subject>', 'an environment, a promotion, a log id; or a release with a service or a check')
    .argument('[part]', 'the service whose build is meant, or the check; after the word `promotion` its number')
    .option('-f, --follow', 'keep printing until the log ends')
    .option('-o, --output', 'what the service prints that runs in the environment')
    .option('-n, --tail <lines>', 'with --output: how many of the last lines come first (200)', wholeNumber)
    .addHelpText('after', needs('log.read', 'output.follow'))
    .action(
      run<LogOptions>(async (context, { follow = false, output = false, tail }, subject = '', part) => {
        if (output) {
          const service = part ?? (await onlyService(context, subject));
          await printOutput(context, { environment: subject, service, follow, tail: tail ?? TAIL });
          return EXIT.ok;
        }
        if (tail !== undefined) throw usage('--tail goes with --output.', 'A log is printed from its first line.');
        const log = await logOf(context, subject, part, follow);
        if (follow) await followLog(context, log);
        else await printLog(context, log);
        return EXIT.ok;
      }),
    );
};

/** Where one service runs, it need not be named. */
async function onlyService(context: Context, environment: string): Promise<string> {
  const client = await context.client();
  const params = { project: await context.project(), environment };
  const { services } = await client.call('environment.show', { params });
  const [only] = services;
  if (only !== undefined && services.length === 1) return only.service;
  const names = services.map(({ service }) => service).join(', ');
  throw usage(
    `The output of which service of ${environment} is meant?`,
    names === '' ? 'Nothing runs there yet.' : `Name one of: ${names}.`,
  );
}

async function printLog({ out, client }: Context, log: string): Promise<void> {
  const server = await client();
  let after: string | undefined;
  for (;;) {
    const batch = await server.call('log.read', { params: { log }, query: { after } });
    for (const line of batch.lines) write(out, line);
    if (batch.ended || batch.lines.length === 0 || batch.seq === after) return;
    after = batch.seq;
  }
}

async function followLog({ out, client, io }: Context, log: string): Promise<void> {
  const server = await client();
  const { Log } = await import('../http/view/path.ts'); // schemas load only when they are needed
  let after: string | undefined;
  for (let resumes = 0; ; resumes += 1) {
    try {
      for await (const { data } of server.stream('log.follow', { params: { log }, query: { after } }, io.signal)) {
        const batch = Log.parse(data);
        for (const line of batch.lines) write(out, line);
        after = batch.seq;
        resumes = 0;
        if (batch.ended) return;
      }
    } catch (error) {
      if (io.signal.aborted) throw cancelled();
      if (resumes >= RESUMES || /\.(missing|unknown)$/.test(problemOf(error).code)) throw error;
    }
    await pause(1_000, io.signal); // the server ended the stream and not the log: it restarts, or wants the token again
    if (io.signal.aborted) throw cancelled();
  }
}

function write(out: Context['out'], line: string): void {
  if (out.json) out.line({ line }, String);
  else out.text(cleanLogLine(line));
}

/** The log that a person means. An environment means the promotion on its way in, else the last one that did something. */
async function logOf(context: Context, subject: string, part: string | undefined, follow: boolean): Promise<string> {
  const client = await context.client();
  if (part !== undefined && subject === 'promotion') {
    const promotion = await promotionNumbered(context, subjectOf(subject, part));
    return (await client.call('promotion.show', { params: { promotion } })).logId;
  }
  if (part !== undefined) return partLog(context, client, await releaseNamed(context, client, subject), part);
  if (subject.startsWith('log_')) return subject;
  if (subject.startsWith('pro')) {
    const promotion = await orNull(client.call('promotion.show', { params: { promotion: subject } }), 'promotion.');
    if (promotion !== null) return promotion.logId;
  }
  const params = { project: await context.project(), environment: subject };
  const environment = await orNull(client.call('environment.show', { params }), 'environment.');
  if (environment === null) return partLog(context, client, subject, undefined);
  const [open] = environment.open;
  return follow && open !== undefined ? open.logId : newestLog(context, client, subject, environment.history);
}

/** One that was refused or overtaken did nothing, and has no log: the one before it is meant, and that is said. */
async function newestLog(
  { out }: Context,
  client: Client,
  environment: string,
  history: readonly PromotionView[],
): Promise<string> {
  for (const [index, { logId, number, state }] of history.entries()) {
    const { lines } = await client.call('log.read', { params: { log: logId }, query: {} });
    if (lines.length === 0) continue;
    const newer = index === 0 ? '' : ' Newer ones did nothing yet, and have no log.';
    out.note(`promotion ${number} (${state}).${newer}`);
    return logId;
  }
  throw usage(
    `Nothing that moved into ${environment} has a log yet.`,
    `\`towpath why ${environment}\` says what became of it.`,
  );
}

/** With a service an environment means the release on its way in, else the one that runs there. */
async function releaseNamed(context: Context, client: Client, subject: string): Promise<string> {
  const params = { project: await context.project(), environment: subject };
  const environment = await orNull(client.call('environment.show', { params }), 'environment.');
  return environment?.open[0]?.release.id ?? environment?.current?.id ?? subject;
}

async function partLog(context: Context, client: Client, name: string, part: string | undefined): Promise<string> {
  const params = { project: await context.project(), release: name };
  const { services, problem, evidence } = await client.call('release.show', { params });
  if (services.length === 0)
    throw usage(`${name} has no builds. ${problem?.what ?? ''}`.trim(), problem?.fix ?? 'See `towpath release show`.');
  const [only] = services;
  if (part === undefined && only !== undefined && services.length === 1) return only.logId;
  const build = services.find(({ service }) => service === part);
  if (build !== undefined) return build.logId;
  const answers = evidence.filter(({ check, logId }) => check === part && logId !== null);
  const answer = answers.find(({ verdict }) => verdict !== 'passed') ?? answers[0];
  if (answer !== undefined && answer.logId !== null) return answer.logId;
  const names = services.map(({ service }) => service).join(', ');
  const checks = [...new Set(evidence.map(({ check }) => check))].join(', ');
  throw usage(
    part === undefined ? `Whose build of ${name} is meant?` : `${name} has no service and no answered check "${part}".`,
    `Name one of its services: ${names} (what a check of the build printed is in the log of the build)${checks === '' ? '' : `; or a check: ${checks}`}.`,
  );
}

async function orNull<Value>(answer: Promise<Value>, missing: string): Promise<Value | null> {
  try {
    return await answer;
  } catch (error) {
    if (problemOf(error).code.startsWith(missing)) return null;
    throw error;
  }
}
