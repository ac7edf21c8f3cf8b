import { usage } from './cli-error.ts';
import { createClient, type Client } from './client.ts';
import type { House } from './house.ts';
import type { Io } from './io.ts';
import { createOutput, type Output } from './output.ts';
import { readSettings } from './settings.ts';

/** Options that every command takes. */
export interface CommonOptions {
  readonly server?: string;
  readonly tokenFile?: string;
  readonly data?: string;
  readonly project?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** @returns an exit code */
export type Act<Options> = (context: Context, options: Options, ...args: (string | undefined)[]) => Promise<number>;

/** What a command works with. */
export interface Context {
  readonly io: Io;
  readonly out: Output;
  readonly house: House;
  readonly common: CommonOptions;
  readonly client: () => Promise<Client>;
  /** Undefined where none was named. */
  readonly namedProject: () => string | undefined;
  /** The project that was named, else the only one there is. @throws CliError when there are several */
  readonly project: () => Promise<string>;
}

export function createContext(io: Io, house: House, common: CommonOptions): Context {
  const out = createOutput(io, { json: common.json ?? false, quiet: common.quiet ?? false });
  let client: Promise<Client> | undefined;
  const context: Context = {
    io,
    out,
    house,
    common,
    client: () => (client ??= readSettings(common, io).then((settings) => createClient(settings, io.signal))),
    namedProject: () => common.project ?? (io.env['TOWPATH_PROJECT'] || undefined),
    project: async () => {
      const named = context.namedProject();
      if (named !== undefined && named !== '') return named;
      return onlyOne((await (await context.client()).call('project.list')).map(({ name }) => name));
    },
  };
  return context;
}

function onlyOne(projects: readonly string[]): string {
  const [only, ...others] = projects;
  if (only === undefined) throw usage('The server watches no project yet.', 'Add one: `towpath project add URL`.');
  if (others.length > 0)
    throw usage(`The server has ${projects.length} projects.`, `Name one with --project: ${projects.join(', ')}.`);
  return only;
}
