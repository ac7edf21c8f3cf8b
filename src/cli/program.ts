import { Command, CommanderError } from 'commander';

import { problemOf } from '../lib/error.ts';
import { type CliError, usage } from './cli-error.ts';
import { createContext, type Act, type CommonOptions } from './context.ts';
import { EXIT, exitOfError } from './exit.ts';
import type { House } from './house.ts';
import type { Io } from './io.ts';
import { createOutput } from './output.ts';
import type { Run, Verb } from './verb.ts';

const EXIT_HELP = `
Exit codes: 0 done, 1 failed, 2 cancelled, 3 refused by policy, 4 no access, 64 wrong usage, 75 --timeout was over.
Data goes to stdout, everything else to stderr. NO_COLOR is honoured.`;

/** @returns a program that writes to `io` and throws instead of ending the process */
export function createProgram(verbs: readonly Verb[], run: Run, io: Io, version: string): Command {
  const program = new Command('towpath')
    .description('One artifact, one path to production.')
    .version(version, '--version', 'print the version')
    .option('--project <name>', 'which project; else TOWPATH_PROJECT, else the only one')
    .option('--server <url>', 'which server; else TOWPATH_SERVER, else the one on this machine')
    .option('--token-file <file>', "a file with a token (- for stdin); else TOWPATH_TOKEN, else the data directory's")
    .option('--data <directory>', 'the data directory; else TOWPATH_DATA, else ~/.local/share/towpath')
    .option('--json', 'one JSON document on stdout')
    .option('--quiet', 'no progress, no notes')
    .addHelpText('after', EXIT_HELP)
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true });
  for (const verb of verbs) verb(program, run);
  forAll(program, (command) =>
    command
      .exitOverride()
      .helpCommand(false)
      .configureOutput({
        writeOut: (text) => io.stdout.write(text),
        writeErr: (text) => io.stderr.write(text),
        getOutHasColors: () => false,
        getErrHasColors: () => false,
      }),
  );
  return program;
}

/** Parses, acts, and turns whatever happens into an exit code. */
export async function runProgram(
  create: (run: Run) => Command,
  argv: readonly string[],
  io: Io,
  house: House,
): Promise<number> {
  let exit: number = EXIT.ok;
  let common: CommonOptions = {};
  const program = create(<Options>(act: Act<Options>) => async (...args: unknown[]) => {
    const command = args.at(-1);
    if (!(command instanceof Command)) throw new TypeError('The parser hands over its command last.');
    common = command.optsWithGlobals<CommonOptions>();
    const words = args
      .slice(0, -2)
      .flat()
      .map((word) => (typeof word === 'string' ? word : undefined));
    exit = await act(createContext(io, house, common), command.opts<Options & Record<string, unknown>>(), ...words);
  });
  const json = argv.includes('--json');
  if (json) forAll(program, (command) => command.configureOutput({ outputError: () => undefined })); // told below
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exit;
  } catch (error) {
    const output = createOutput(io, { json: common.json ?? json, quiet: false });
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      if (json) output.problem(wrongWords(error));
      return EXIT.usage;
    }
    output.problem(problemOf(error));
    return exitOfError(error);
  }
}

function wrongWords({ message }: CommanderError): CliError {
  const what = message.replace(/^error: /, '').replaceAll('\n', ' ');
  return usage(
    `${what.charAt(0).toUpperCase()}${what.slice(1)}`,
    'Look at `towpath help`, or put --help after the command.',
  );
}

export function forAll(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) forAll(child, visit);
}
