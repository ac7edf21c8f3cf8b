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
    signal,
  };
}

function screenOf(stream: NodeJS.WriteStream): Screen {
  return { write: (text) => void stream.write(text), isTTY: stream.isTTY };
}
