import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';

import type { LogLine } from '../../../lib/log.ts';
import { CheckError } from '../../error.ts';

export interface Verification {
  readonly provider: string;
  /** Where the provider answers. */
  readonly url: string;
  /** The file with the pact. */
  readonly file: string;
  /** Where it is told of the state that an interaction begins in; null for nobody. */
  readonly statesUrl: string | null;
  /** Of one request. */
  readonly requestMs: number;
  /** Of whoever verifies: an empty folder, for the library looks for settings and plug-ins of its user. */
  readonly home: string;
}

/**
 * Pact's own verifier, in a process of its own: a library in native code can end its process, and is not called off otherwise.
 * @returns what it found, as its JSON says it; null when it ended without that
 * @throws CheckError `check.no-verifier`
 */
export async function verify(
  { home, ...wish }: Verification,
  { log, signal }: { readonly log: LogLine; readonly signal: AbortSignal },
): Promise<string | null> {
  const library = locate();
  const child = spawn(process.execPath, ['--eval', `(${inItsOwnProcess.toString()})()`], {
    cwd: home,
    // nothing of this server's own; and its makers are not told of each run
    env: { HOME: home, PACT_PLUGIN_DIR: home, PACT_DO_NOT_TRACK: 'true', NO_COLOR: '1' },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
  child.stdin?.on('error', () => undefined); // it ended before it was told
  child.stdin?.end(JSON.stringify({ library, ...wish }));
  const [found] = await Promise.all([
    textOf(child.stdio[3]),
    lines(child.stdout, log),
    lines(child.stderr, log),
    ended.catch((error: unknown) => {
      signal.throwIfAborted();
      throw error;
    }),
  ]);
  return found === '' ? null : found;
}

const PACKAGE = '@pact-foundation/pact-core';

function locate(): string {
  try {
    return createRequire(import.meta.url).resolve(PACKAGE);
  } catch {
    throw new CheckError({
      code: 'check.no-verifier',
      what: 'The verifier of Pact is not installed on this worker, so no contract can be verified.',
      fix: `It comes with Towpath as an optional package for Linux, macOS and Windows: \`npm install ${PACKAGE}\` where Towpath is installed.`,
    });
  }
}

async function textOf(stream: unknown): Promise<string> {
  return stream === null || stream === undefined ? '' : text(stream as NodeJS.ReadableStream);
}

/** Its words for people have colours, whatever it is told. */
async function lines(stream: NodeJS.ReadableStream | null, log: LogLine): Promise<void> {
  if (stream === null) return;
  const plain = stripVTControlCharacters(await text(stream));
  for (const line of plain.split('\n')) if (line.trim() !== '') log(line.trimEnd());
}

/** Runs in the other process, from its text: it may name nothing of this file. */
function inItsOwnProcess(): void {
  const fs = process.getBuiltinModule('node:fs');
  const { library, provider, url, file, statesUrl, requestMs } = JSON.parse(fs.readFileSync(0, 'utf8')) as {
    readonly library: string;
  } & Omit<Verification, 'home'>;
  const { default: pact } = process.getBuiltinModule('node:module').createRequire(library)(library) as {
    readonly default: { verifyPacts(options: unknown): Promise<string> };
  };
  pact
    .verifyPacts({
      provider,
      providerBaseUrl: url,
      pactUrls: [file],
      logLevel: 'error',
      timeout: requestMs,
      ...(statesUrl === null ? {} : { providerStatesSetupUrl: statesUrl, providerStatesSetupTeardown: true }),
    })
    .then(
      (found) => fs.writeSync(3, found),
      (error: Error) => fs.writeSync(3, error.message),
    );
}
