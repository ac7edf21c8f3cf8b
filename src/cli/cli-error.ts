import { TowpathError } from '../lib/error.ts';

/** `cli.*`: the command was not understood, or the server could not be asked. */
export class CliError extends TowpathError {}

export function usage(what: string, fix: string): CliError {
  return new CliError({ code: 'cli.usage-invalid', what, fix });
}
