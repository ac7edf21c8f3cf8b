import { problemOf } from '../lib/error.ts';
import { usage } from './cli-error.ts';
import { cancelled, type Client } from './client.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { cleanLogLine } from './text.ts';
import { needs, type Verb } from './verb.ts';
import { pause } from './wait.ts';

/** How often a broken stream is taken up again, at its last line, before it is a failure. */
const RESUMES = 30;

export const logs: Verb = (program, run) => {
  program
    .command('logs')
    .description('print the log of a promotion, of what moves into an environment, or of a build')
    .argument('<subject>', 'a promotion, an environment, a log id; or a release with a service')
    .argument('[service]', 'the service whose build is meant')
    .option('-f, --follow', 'keep printing until the log ends')
    .addHelpText('after', needs('log.read'))
    .action(
      run<{ follow?: boolean }>(async (context, { follow = false }, subject = '', service) => {
        const log = await logOf(context, subject, service);
        if (follow) await followLog(context, log);
        else await printLog(context, log);
        return EXIT.ok;
      }),
    );
};

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

/** The log that a person means. An environment means the promotion on its way in, else the last one. */
async function logOf(context: Context, subject: string, service: string | undefined): Promise<string> {
  const client = await context.client();
  if (service !== undefined) return buildLog(context, client, await releaseNamed(context, client, subject), service);
  if (subject.startsWith('log_')) return subject;
  if (subject.startsWith('pro')) {
    const promotion = await orNull(client.call('promotion.show', { params: { promotion: subject } }), 'promotion.');
    if (promotion !== null) return promotion.logId;
  }
  const params = { project: await context.project(), environment: subject };
  const environment = await orNull(client.call('environment.show', { params }), 'environment.');
  if (environment === null) return buildLog(context, client, subject, undefined);
  const promotion = environment.open[0] ?? environment.history[0];
  if (promotion === undefined) throw usage(`Nothing has moved into ${subject} yet.`, 'See `towpath status`.');
  return promotion.logId;
}

/** With a service an environment means the release on its way in, else the one that runs there. */
async function releaseNamed(context: Context, client: Client, subject: string): Promise<string> {
  const params = { project: await context.project(), environment: subject };
  const environment = await orNull(client.call('environment.show', { params }), 'environment.');
  return environment?.open[0]?.release.id ?? environment?.current?.id ?? subject;
}

async function buildLog(context: Context, client: Client, name: string, service: string | undefined): Promise<string> {
  const params = { project: await context.project(), release: name };
  const { services, problem } = await client.call('release.show', { params });
  if (services.length === 0)
    throw usage(`${name} has no builds. ${problem?.what ?? ''}`.trim(), problem?.fix ?? 'See `towpath release show`.');
  const found =
    services.find((candidate) => candidate.service === service) ?? (services.length === 1 ? services[0] : undefined);
  if (found !== undefined && (service === undefined || found.service === service)) return found.logId;
  const names = services.map((candidate) => candidate.service).join(', ');
  throw usage(`Whose build of ${name} is meant?`, `Name one of its services: ${names}.`);
}

async function orNull<Value>(answer: Promise<Value>, missing: string): Promise<Value | null> {
  try {
    return await answer;
  } catch (error) {
    if (problemOf(error).code.startsWith(missing)) return null;
    throw error;
  }
}
