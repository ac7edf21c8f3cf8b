import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { CONFIG_FILE } from '../../config/config-file.ts';
import { parseConfig } from '../../config/config.ts';
import { families } from '../../config/families.ts';
import type { Trigger } from '../../path/trigger.ts';
import { usage } from '../cli-error.ts';
import { EXIT } from '../exit.ts';
import { table } from '../text.ts';
import type { Context } from '../context.ts';

/** Reads a configuration as the server will. */
export async function validateFile({ out }: Context, path: string): Promise<number> {
  const file = await fileAt(resolve(path));
  const config = parseConfig(await readFile(file), families, path === '.' ? CONFIG_FILE : file);
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
