import { writeFile } from 'node:fs/promises';

import { type Client, cancelled, createClient } from './cli/client.ts';
import { runCli } from './cli/commands.ts';
import type { House } from './cli/house.ts';
import type { Io } from './cli/io.ts';
import { type Paint, paintFor } from './cli/text.ts';
import { pause } from './cli/wait.ts';
import type { Shop } from './demo-shop.ts';
import { TowpathError } from './lib/error.ts';

export class DemoError extends TowpathError {}

/** What the story is told with: words for people, commands that are shown as they are run, and what must be true. */
export interface Stage {
  readonly client: Client;
  readonly shop: Shop;
  /** Since whoever watches began to wait. */
  elapsedMs(): number;
  /** Begins a chapter: its title, and what it is about. */
  chapter(title: string, ...words: string[]): Promise<void>;
  tell(text: string): void;
  /** Says what was found true. Stays on the screen for a moment. */
  found(text: string): Promise<void>;
  /** Types a git command in the clone. @returns what it printed */
  git(...args: string[]): Promise<string>;
  /** Types how a change of the examples comes into the clone. */
  lay(change: string): Promise<void>;
  /** Types a command of Towpath, runs it, and shows its answer. */
  towpath(...words: string[]): Promise<Typed>;
  /** The same; its answer goes to a file that only its owner can read. */
  towpathInto(file: string, ...words: string[]): Promise<Typed>;
  /** Runs a command of Towpath that nobody is shown. */
  quietly(...words: string[]): Promise<Typed>;
  /** @throws DemoError when it is not so */
  expect(isSo: boolean, expected: string, seen: string): void;
  /** Asks until the answer is not null. @throws DemoError with what was waited for, and what was seen last */
  until<T>(expected: string, ask: () => Promise<T | null>, seen: () => Promise<string>): Promise<T>;
}

export interface Typed {
  readonly code: number;
  readonly stdout: string;
}

export interface StageParts {
  readonly io: Pick<Io, 'stdout' | 'env' | 'home' | 'clock'>;
  readonly server: { readonly url: string; readonly token: string; readonly data: string };
  readonly shop: Shop;
  /** Leaves time to read. */
  readonly isPaced: boolean;
  readonly sinceMs: number;
  readonly signal: AbortSignal;
}

const READ_MS = 1_000;
/** On a machine that does much else, one step takes minutes. */
const PATIENCE_MS = 300_000;

export function createStage(parts: StageParts): Stage {
  const { io, server, shop, signal } = parts;
  const paint = paintFor(io.stdout.isTTY, io.env);
  const line = (text: string): void => io.stdout.write(`${text}\n`);
  const indented = (text: string): void => {
    for (const each of text.trimEnd().split('\n')) if (text.trim() !== '') line(`     ${each}`);
  };
  const client = createClient({ server: server.url, token: server.token }, signal);
  const rest = async (): Promise<void> => {
    if (parts.isPaced) await pause(READ_MS, signal);
    if (signal.aborted) throw cancelled();
  };
  const elapsedMs = (): number => io.clock.now() - parts.sinceMs;
  const typed = (words: readonly string[], end = ''): void => line(`     ${commandText(words, end, paint)}`);
  const type = async (words: readonly string[], into?: string): Promise<Typed> => {
    typed(['towpath', ...words], into === undefined ? '' : ` > ${into}`);
    const answer = await runTowpath(parts, words);
    if (into === undefined) indented(withoutRepeats(answer.shown));
    else await writeFile(into, answer.stdout, { mode: 0o600 });
    return answer;
  };
  let number = 0;

  return {
    client,
    shop,
    elapsedMs,
    async chapter(title, ...words) {
      const time = paint('dim', `(${(elapsedMs() / 1000).toFixed(0)} s)`);
      line(`\n${paint('bold', `${String(number++).padStart(2)}. ${title}`)}  ${time}`);
      for (const each of words) line(`    ${each}`);
      await rest();
    },
    tell: (text) => line(`    ${text}`),
    async found(text) {
      line(`    ${paint('green', 'ok')} ${text}`);
      await rest();
    },
    async git(...args) {
      typed(['git', ...args.filter((word) => word !== '--quiet')]);
      return shop.git(...args);
    },
    async lay(change) {
      typed(['cp', '-r', `examples/shop-changes/${change}/.`, '.']);
      await shop.lay(change);
    },
    towpath: (...words) => type(words),
    quietly: (...words) => runTowpath(parts, words),
    towpathInto: (file, ...words) => type(words, file),
    expect(isSo, expected, seen) {
      if (!isSo) throw unlike(expected, seen);
    },
    async until(expected, ask, seen) {
      const deadline = io.clock.now() + PATIENCE_MS;
      for (;;) {
        const answer = await ask();
        if (answer !== null) return answer;
        if (io.clock.now() > deadline) throw unlike(`${expected} within ${PATIENCE_MS / 1000} s`, await seen());
        await pause(100, signal);
        if (signal.aborted) throw cancelled();
      }
    },
  };
}

/** The real command line, within this process: what it writes is shown, progress and all. */
async function runTowpath(
  { io, server, signal }: StageParts,
  words: readonly string[],
): Promise<Typed & { readonly shown: string }> {
  let stdout = '';
  let shown = '';
  const stage: Io = {
    ...io,
    ask: null,
    env: { ...io.env, TOWPATH_DATA: server.data, TOWPATH_SERVER: server.url, TOWPATH_TOKEN: '', TOWPATH_PROJECT: '' },
    stdout: {
      isTTY: io.stdout.isTTY,
      write: (text) => {
        stdout += text;
        shown += text;
      },
    },
    stderr: { isTTY: false, write: (text) => void (shown += text) },
    signal,
  };
  const code = await runCli(words, stage, NO_SERVERS, '0.1.0');
  return { code, stdout, shown };
}

/** The story starts no server by a command. */
const NO_SERVERS: House = { up: never, serve: never, proxy: never, demo: never };

function never(): never {
  throw new Error('The story is told on the server that runs.');
}

/** The last word on progress and the answer may be the same line. */
function withoutRepeats(text: string): string {
  const lines = text.split('\n');
  return lines.filter((each, index) => each !== lines[index - 1]).join('\n');
}

function commandText(words: readonly string[], end: string, paint: Paint): string {
  const quoted = words.map((word) => (/^[\w@%+=:,./#~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
  return `${paint('dim', '$')} ${paint('cyan', `${quoted.join(' ')}${end}`)}`;
}

function unlike(expected: string, seen: string): DemoError {
  return new DemoError({
    code: 'demo.unlike-the-story',
    what: `The story expected ${expected}, and saw ${seen}.`,
    fix: 'Run it again with --ci; if it repeats, report it with its output.',
  });
}
