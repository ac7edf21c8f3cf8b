import { createInterface } from 'node:readline/promises';

import { systemClock, type Clock } from '../lib/clock.ts';
import { CliError } from './cli-error.ts';

export interface Screen {
  write(text: string): void;
  readonly isTTY: boolean;
}

/** What a command may touch of the process that it runs in; tests give their own. */
export interface Io {
  readonly stdout: Screen;
  readonly stderr: Screen;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly clock: Clock;
  /** Asks the person at the terminal for a line; null where there is nobody to ask. */
  readonly ask: ((question: string) => Promise<string>) | null;
  /** Ctrl-C. */
  readonly signal: AbortSignal;
}

export function processIo(signal: AbortSignal): Io {
  return {
    stdout: screenOf(process.stdout),
    stderr: screenOf(process.stderr),
    env: process.env,
    home: process.env['HOME'] ?? '.',
    clock: systemClock,
    ask:
      process.stdin.isTTY && process.stderr.isTTY
        ? (question) => asked(question, signal, process.stdin, process.stderr)
        : null,
    signal,
  };
}

/** @throws CliError `cli.cancelled` on Ctrl-C and Ctrl-D: whoever is asked may leave */
export async function asked(
  question: string,
  signal: AbortSignal,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): Promise<string> {
  const lines = createInterface({ input, output });
  try {
    return await lines.question(question, { signal });
  } catch (error) {
    if ((error as Error).name !== 'AbortError') throw error;
    output.write('\n');
    throw new CliError({ code: 'cli.cancelled', what: 'Stopped.', fix: 'Nothing was written. `--yes` asks nothing.' });
  } finally {
    lines.close();
  }
}

function screenOf(stream: NodeJS.WriteStream): Screen {
  return { write: (text) => void stream.write(text), isTTY: stream.isTTY };
}
