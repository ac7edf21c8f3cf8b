import type { Problem } from '../lib/error.ts';
import type { Io } from './io.ts';
import { clean, paintFor, type Paint } from './text.ts';

/** Data goes to stdout, everything else to stderr: a pipe gets only what it asked for. */
export interface Output {
  /** Colours for stdout. */
  readonly paint: Paint;
  readonly json: boolean;
  /** One JSON document with `--json`, else what `text` makes of the cleaned value. */
  data<Value>(value: Value, text: (value: Value) => string): void;
  /** One line of a stream: NDJSON with `--json`. */
  line<Value>(value: Value, text: (value: Value) => string): void;
  /** A line of text as it is: whoever gives it has cleaned it. */
  text(line: string): void;
  note(text: string): void;
  /** What is going on. On a terminal it replaces itself; elsewhere each new state is one line, once. */
  progress(text: string): void;
  /** Ends the progress line. */
  settle(): void;
  problem(problem: Problem): void;
}

export function createOutput(io: Io, options: { json: boolean; quiet: boolean }): Output {
  const paint = paintFor(io.stdout.isTTY, io.env);
  const paintNote = paintFor(io.stderr.isTTY, io.env);
  const isLive = io.stderr.isTTY && io.env['TERM'] !== 'dumb';
  let last = '';

  function settle(): void {
    if (isLive && last !== '') io.stderr.write('\n');
    last = '';
  }

  return {
    paint,
    json: options.json,
    settle,
    data: (value, text) => {
      settle();
      const shown = options.json ? JSON.stringify(value, null, 2) : text(clean(value));
      if (shown !== '') io.stdout.write(`${shown}\n`);
    },
    line: (value, text) => io.stdout.write(`${options.json ? JSON.stringify(value) : text(clean(value))}\n`),
    text: (line) => io.stdout.write(`${line}\n`),
    note: (text) => {
      settle();
      if (!options.quiet) io.stderr.write(`${clean(text)}\n`);
    },
    progress: (text) => {
      if (options.quiet || text === last) return;
      last = text;
      io.stderr.write(isLive ? `\r\u001b[2K${clean(text)}` : `${clean(text)}\n`);
    },
    problem: ({ code, what, fix }) => {
      settle();
      if (options.json) io.stderr.write(`${JSON.stringify({ code, what, fix })}\n`);
      else
        io.stderr.write(
          `${paintNote('red', 'towpath:')} ${clean(what)}\n${clean(fix)}\n${paintNote('dim', clean(code))}\n`,
        );
    },
  };
}
