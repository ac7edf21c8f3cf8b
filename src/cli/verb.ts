import type { Command } from 'commander';

import { operationOf, type OperationName } from '../access/operation.ts';
import { parseDuration } from '../lib/duration.ts';
import { usage } from './cli-error.ts';
import type { Act } from './context.ts';

/** Turns what a command does into what the parser calls. */
export type Run = <Options>(act: Act<Options>) => (...args: unknown[]) => Promise<void>;

/** One command: declares its words on the program. Registered by one line in `commands.ts`. */
export type Verb = (program: Command, run: Run) => void;

/** The line of the help that says which permission a command needs, from the same table that the server asks. */
export function needs(...names: readonly OperationName[]): string {
  const all = names.map((name) => operationOf(name).needs).filter((permission) => permission !== 'public');
  return `\nNeeds ${[...new Set(all)].join(', ')}.`;
}

/** Collects `--from web=v1.2.0 --from worker=main` into one record. */
export function collectServices(pair: string, before: Record<string, string> = {}): Record<string, string> {
  const [service = '', release = ''] = pair.split(/=(.*)/s);
  if (service === '' || release === '') throw usage(`"${pair}" is not SERVICE=RELEASE.`, 'Write for example web=main.');
  return { ...before, [service]: release };
}

export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw usage(`"${text}" is not a duration.`, 'Write for example 90s, 10m or 2h.');
  return ms;
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw usage(`"${text}" is not a whole number.`, 'Write digits only.');
  return Number(text);
}

export function port(text: string): number {
  const number = wholeNumber(text);
  if (number > 65_535) throw usage(`There is no port ${text}.`, 'Ports go to 65535; 0 is any that is free.');
  return number;
}
