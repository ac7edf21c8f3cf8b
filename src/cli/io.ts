import { createInterface } from 'node:readline/promises';

import { systemClock, type Clock } from '../lib/clock.ts';

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
    ask: process.stdin.isTTY && process.stderr.isTTY ? (question) => asked(question, signal) : null,
    signal,
  };
}

async function asked(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question, { signal });
  } finally {
    lines.close();
  }
}

function screenOf(stream: NodeJS.WriteStream): Screen {
  return { write: (text) => void stream.write(text), isTTY: stream.isTTY };
}
