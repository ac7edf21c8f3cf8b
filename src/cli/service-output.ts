import type { OutputBatch } from '../flow/use-cases.ts';
import { problemOf } from '../lib/error.ts';
import { CliError } from './cli-error.ts';
import { cancelled } from './client.ts';
import type { Context } from './context.ts';
import { cleanLogLine } from './text.ts';
import { pause } from './wait.ts';

export interface OutputWish {
  readonly environment: string;
  readonly service: string;
  readonly tail: number;
  readonly follow: boolean;
}

/** How often a broken stream is taken up again, at its last line, before it is a failure. */
const RESUMES = 30;

/** Prints what a service prints: its lines on stdout, and on stderr whose they are wherever that changes. */
export async function printOutput(context: Context, { environment, service, tail, follow }: OutputWish): Promise<void> {
  const { io, out } = context;
  const server = await context.client();
  const params = { project: await context.project(), environment, service };
  const { Output } = await import('../http/view/path.ts'); // schemas load only when they are needed
  let after: string | undefined;
  let last: OutputBatch | undefined;
  for (let resumes = 0; ; resumes += 1) {
    try {
      const query = { tail, follow: String(follow), after };
      for await (const { data } of server.stream('output.follow', { params, query }, io.signal)) {
        const batch = Output.parse(data);
        if (batch.ended) {
          if (follow) out.note(`Nothing of ${service} is left in ${environment}.`);
          return;
        }
        if (batch.replica !== last?.replica || batch.promotion !== last.promotion) out.note(headOf(service, batch));
        if (batch.note !== null) out.note(`(${batch.note})`);
        for (const line of batch.lines) {
          if (out.json) out.line({ replica: batch.replica, promotion: batch.promotion, line }, String);
          else out.text(cleanLogLine(line));
        }
        last = batch;
        after = batch.seq;
        resumes = 0;
      }
    } catch (error) {
      if (io.signal.aborted) throw cancelled();
      const { code } = problemOf(error, '');
      if (!follow || resumes >= RESUMES || (code !== '' && code !== 'cli.server-unreachable')) throw error;
    }
    if (!follow) throw brokenOff();
    await pause(1_000, io.signal); // the server ended the stream and not the output: it restarts, or wants the token again
    if (io.signal.aborted) throw cancelled();
  }
}

function headOf(service: string, { replica, promotion }: OutputBatch): string {
  return `==> ${service} ${replica}${promotion === null ? '' : ` of promotion ${promotion}`}`;
}

function brokenOff(): CliError {
  return new CliError({
    code: 'cli.broken-off',
    what: 'The server ended its answer before the end.',
    fix: 'Ask again; the log of the server says what failed there.',
  });
}
