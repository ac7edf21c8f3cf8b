import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { CONFIG_FILE } from '../../config/config-file.ts';
import { parseConfig } from '../../config/config.ts';
import { jsonSchemaOf } from '../../config/json-schema.ts';
import type { Trigger } from '../../path/trigger.ts';
import { usage } from '../cli-error.ts';
import { EXIT } from '../exit.ts';
import { table } from '../text.ts';
import type { Context } from '../context.ts';
import { knownFamilies } from './known-families.ts';

export interface ValidateOptions {
  readonly driver: readonly string[];
  readonly schema?: boolean;
}

/** Reads a configuration as the server will, or tells what one may hold. */
export async function validateFile({ out, io }: Context, options: ValidateOptions, path: string): Promise<number> {
  const known = await knownFamilies(io, options.driver);
  if (options.schema === true) {
    const schema = jsonSchemaOf(known);
    out.data(schema, () => JSON.stringify(schema, null, 2));
    return EXIT.ok;
  }
  const file = await fileAt(resolve(path));
  const config = parseConfig(await readFile(file), known, path === '.' ? CONFIG_FILE : file);
  out.data(config, ({ project, services, path: order, environments }) =>
    table([
      [
        project,
        `${count(Object.keys(services).length, 'service')}, ${count(order.length, 'environment')}: it can be read.`,
      ],
      ...Object.entries(services).map(([name, { path: folder, build }]) => [
        name,
        `${folder} by the ${build.builder} builder`,
      ]),
      ...order.map((name) => [name, `takes ${triggerText(environments[name]?.on)}`]),
    ]),
  );
  return EXIT.ok;
}

function count(many: number, noun: string): string {
  return `${many} ${noun}${many === 1 ? '' : 's'}`;
}

async function fileAt(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found?.isDirectory() === true) return fileAt(join(path, CONFIG_FILE));
  if (found !== null) return path;
  throw usage(`There is no ${path}.`, '`towpath init` writes a first one.');
}

function triggerText(on: Trigger | undefined): string {
  return on === undefined || on.kind === 'manual' ? 'what is promoted by hand' : `${on.kind} ${on.pattern}`;
}
