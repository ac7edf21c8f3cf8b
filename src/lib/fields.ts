import { z } from 'zod';

import { parseArgv } from './argv.ts';
import { DURATION, parseDuration } from './duration.ts';

/*
 * The small words that every noun's piece of towpath.yaml is made of. Messages are phrases that follow "expected":
 * the reader of the file joins them to its line and column.
 */

/** A name of ours: valid at once as an image path, a DNS label, a tag and a file name. */
export const Name = z
  .string()
  .max(40, 'a name of at most 40 characters')
  .regex(
    /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/,
    'a name of lower-case letters, digits and single hyphens that begins with a letter',
  );

/** A name of an environment variable. */
export const VariableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of an environment variable');

/** Where a secret is found at the moment of use; never the secret. */
export const SecretReference = z
  .string('a reference to a secret: env:NAME or file:/path')
  .regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|file:\/\P{Cc}+)$/u, 'a reference to a secret: env:NAME or file:/path');

const DAY_MS = 86_400_000;

/** Milliseconds, written as `30s`, `15m`, `1h` or `14d`. */
export const Duration = durationUpTo(3650 * DAY_MS, 'a duration of at most 3650d');

/** Milliseconds that something of ours waits for: a timer of Node holds less than 25 days. */
export const Wait = durationUpTo(DAY_MS, 'a duration of at most 24h');

/** The same of what waits for people. */
export const LongWait = durationUpTo(14 * DAY_MS, 'a duration of at most 14d');

function durationUpTo(limitMs: number, what: string) {
  return z
    .string('a duration such as 30s, 15m, 1h or 14d')
    .regex(DURATION, 'a duration such as 30s, 15m, 1h or 14d')
    .transform((text) => parseDuration(text) ?? 0)
    .refine((ms) => ms <= limitMs, what);
}

/** A path inside the repository or the service: relative, without `..`, normalised to no slash at its ends; `.` is the whole. */
export const RelativePath = z
  .string()
  .min(1, 'a relative path')
  .max(400, 'a path of at most 400 characters')
  .regex(/^[^\p{Cc}\\]*$/u, 'a path without control characters and backslashes')
  .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), 'a relative path that stays inside')
  .transform(
    (path) =>
      path
        .split('/')
        .filter((part) => part !== '' && part !== '.')
        .join('/') || '.',
  );

/** An argument array, written as one or as a plain command line; no shell runs it. */
export const Command = z
  .union([z.string(), z.array(z.string()).min(1, 'at least the program')], 'a command')
  .transform((command, context): readonly string[] => {
    if (typeof command !== 'string') return command;
    const parsed = parseArgv(command);
    if ('argv' in parsed) return parsed.argv;
    context.addIssue({
      code: 'custom',
      message: `a program with its arguments (${parsed.wrong}: give an array, or call a script)`,
    });
    return z.NEVER;
  });

/** Mebibytes, written as `256M` or `2G`. */
export const Memory = z
  .string('an amount of memory such as 256M or 2G')
  .regex(/^[1-9]\d{0,5}[MG]$/, 'an amount of memory such as 256M or 2G')
  .transform((text) => Number(text.slice(0, -1)) * (text.endsWith('G') ? 1024 : 1));

/** What a program may use. */
export const LimitsField = z
  .strictObject({
    memory: Memory.optional().describe('Such as 256M'),
    cpus: z.number().min(0.01).max(256).optional().describe('Such as 0.5'),
  })
  .transform(({ memory, cpus }) => ({
    ...(memory === undefined ? {} : { memoryMb: memory }),
    ...(cpus === undefined ? {} : { cpus }),
  }));

/** One or several. */
export function listOf<T extends z.ZodType>(item: T) {
  return z.union([item, z.array(item)]).transform((value): z.output<T>[] => (Array.isArray(value) ? value : [value]));
}

/** One member of a family with its own settings: `docker`, or `{ docker: { ... } }`. */
export interface Choice {
  readonly name: string;
  readonly settings: unknown;
}

/** @param members the schema of each member's settings; one that takes `{}` may be named by its bare name */
export function choiceOf(what: string, members: Readonly<Record<string, z.ZodType>>): z.ZodType<Choice> {
  const names = Object.keys(members);
  const [first, ...rest] = names;
  if (first === undefined) return z.never(`no ${what}: this installation has none`);
  const one = `exactly one ${what}, one of ${names.join(', ')}`;
  const long = z
    .strictObject(Object.fromEntries(Object.entries(members).map(([name, settings]) => [name, settings.optional()])))
    .refine((value) => Object.keys(value).length === 1, one)
    .meta({ minProperties: 1, maxProperties: 1 });
  const short = z.enum([first, ...rest]).transform((name): Record<string, unknown> => ({ [name]: {} }));
  return z
    .union([short.pipe(long), long], one)
    .transform((value) => Object.entries(value).map(([name, settings]) => ({ name, settings }))[0] ?? z.NEVER);
}
