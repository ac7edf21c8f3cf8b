import { fixedClock } from '../../lib/clock.ts';
import { START } from '../../http/testing/world.ts';
import { runCli } from '../commands.ts';
import type { House } from '../house.ts';
import type { Io } from '../io.ts';

export interface Outcome {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly tty?: boolean;
  readonly house?: Partial<House>;
  readonly signal?: AbortSignal;
  /** What a person answers, by the question; without it there is nobody to ask. */
  readonly answer?: (question: string) => string;
  readonly onWrite?: (text: string) => void;
}

/** Runs one command line as a process would, without being one. */
export async function runLine(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  let out = '';
  let err = '';
  const tty = options.tty ?? false;
  const written = (text: string) => options.onWrite?.(text);
  const io: Io = {
    stdout: { isTTY: tty, write: (text) => ((out += text), written(text)) },
    stderr: { isTTY: tty, write: (text) => ((err += text), written(text)) },
    env: options.env ?? {},
    home: '/nonexistent',
    clock: fixedClock(Date.parse(START)),
    ask: options.answer === undefined ? null : async (question) => options.answer?.(question) ?? '',
    signal: options.signal ?? new AbortController().signal,
  };
  const exit = await runCli(argv, io, { ...emptyHouse, ...options.house }, '0.1.0');
  return { exit, out, err };
}

const emptyHouse: House = { up: unset, serve: unset, proxy: unset, demo: unset };

async function unset(): Promise<number> {
  throw new Error('This test lends no house.');
}
