import type { Command, Option } from 'commander';

import type { Context } from './context.ts';
import { clean, releaseTitle } from './text.ts';

export interface Candidate {
  readonly word: string;
  readonly about: string;
}

/** A shell waits for this; a server that is slow or away completes nothing. */
const PATIENCE_MS = 1_500;

/** @param words what was typed after `towpath`; the last one, perhaps empty, is the one to complete */
export async function wordsFor(program: Command, words: readonly string[], context: Context): Promise<Candidate[]> {
  const current = words.at(-1) ?? '';
  const { command, positionals, pending } = walk(program, words.slice(0, -1));
  return (await candidates(program, command, positionals, pending, current, context))
    .map(({ word, about }) => ({ word: clean(word), about: clean(about).replaceAll(/\s+/g, ' ') }))
    .filter(({ word }) => word.startsWith(current));
}

async function candidates(
  program: Command,
  command: Command,
  positionals: number,
  pending: Option | undefined,
  current: string,
  context: Context,
): Promise<Candidate[]> {
  if (pending !== undefined) return valuesOf(pending.attributeName(), context);
  if (current.startsWith('-'))
    return [...command.options, ...(command === program ? [] : program.options)].flatMap(
      ({ long, description, hidden }) =>
        long === undefined || long === null || hidden ? [] : [{ word: long, about: description }],
    );
  if (command.commands.length > 0)
    return command
      .createHelp()
      .visibleCommands(command)
      .map((child) => ({ word: child.name(), about: child.description() }));
  const argument = command.registeredArguments[positionals];
  return argument === undefined ? [] : valuesOf(argument.name(), context);
}

/** Follows the words to the command they name, and to the option that still waits for its value. */
function walk(program: Command, words: readonly string[]) {
  let command = program;
  let positionals = 0;
  let pending: Option | undefined;
  for (const word of words) {
    if (pending !== undefined) {
      pending = undefined;
    } else if (word.startsWith('-')) {
      const option = [...command.options, ...program.options].find(
        ({ short, long }) => word === long || word === short,
      );
      pending = option?.required === true ? option : undefined;
    } else {
      const child = command.commands.find((candidate) => candidate.name() === word);
      if (child === undefined) positionals += 1;
      else command = child;
    }
  }
  return { command, positionals, pending };
}

/** What the server knows by the name of an argument or option. Anything that fails completes nothing. */
async function valuesOf(name: string, context: Context): Promise<Candidate[]> {
  const asked = valuesFromServer(name, context).catch(() => []);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Candidate[]>((resolve) => (timer = setTimeout(() => resolve([]), PATIENCE_MS)));
  const found = await Promise.race([asked, late]);
  clearTimeout(timer);
  return found;
}

async function valuesFromServer(name: string, context: Context): Promise<Candidate[]> {
  switch (name) {
    case 'environment':
      return environments(context);
    case 'release':
    case 'base':
    case 'to':
      return releases(context);
    case 'from':
    case 'subject':
      return [...(await environments(context)), ...(await releases(context))];
    case 'project':
      return (await (await context.client()).call('project.list')).map((project) => ({
        word: project.name,
        about: '',
      }));
    case 'shell':
      return ['bash', 'zsh', 'fish'].map((word) => ({ word, about: '' }));
    case 'role':
      return ['viewer', 'approver', 'developer', 'operator', 'admin'].map((word) => ({ word, about: '' }));
    default:
      return [];
  }
}

async function environments(context: Context): Promise<Candidate[]> {
  const params = { project: await context.project() };
  const all = await (await context.client()).call('environment.list', { params });
  return all.map(({ name, current }) => ({ word: name, about: current === null ? '' : releaseTitle(current) }));
}

async function releases(context: Context): Promise<Candidate[]> {
  const params = { project: await context.project() };
  const page = await (await context.client()).call('release.list', { params, query: { limit: 30 } });
  return page.items.flatMap((release) => {
    const names = release.names.length === 0 ? [release.commit.slice(0, 12)] : release.names;
    return names.map((word) => ({ word, about: releaseTitle(release) }));
  });
}
