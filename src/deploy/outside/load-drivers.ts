import { stat } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

import { z } from 'zod';

import { Name } from '../../lib/fields.ts';
import { ABILITIES, type Lack } from '../statement.ts';
import { invalid, nameTaken, notFound, otherVersion } from './driver-error.ts';
import { DRIVER_API, type DriverModule } from './driver-module.ts';

const LACKS = Object.keys(ABILITIES) as [Lack, ...Lack[]];

const Exported = z.looseObject(
  { api: z.int('a whole number') },
  'an object with `api`, `name`, `config`, `lacks` and `make`',
);

const Module = z.looseObject({
  name: Name,
  config: z.custom((value) => typeof value === 'object' && value !== null && '_zod' in value, 'a schema of Zod 4'),
  lacks: z.array(
    z.enum(LACKS, `words out of: ${LACKS.join(', ')}`),
    'a list of what it lacks; an empty one for nothing',
  ),
  make: z.custom((value) => typeof value === 'function', 'a function'),
});

/**
 * Loads drivers that are not of this version, each the default export of a JavaScript file.
 * @param files absolute
 * @param taken the names that others have
 * @throws DriverError `driver.not-found`, `driver.invalid`, `driver.version`, `driver.name-taken`
 */
export async function loadDrivers(files: readonly string[], taken: readonly string[]): Promise<DriverModule[]> {
  const loaded: DriverModule[] = [];
  for (const file of files) {
    const module = await load(file);
    if ([...taken, ...loaded.map(({ name }) => name)].includes(module.name)) throw nameTaken(file, module.name);
    loaded.push(module);
  }
  return loaded;
}

async function load(file: string): Promise<DriverModule> {
  const found = await stat(file).catch(() => null);
  if (found?.isFile() !== true) throw notFound(file);
  const { default: exported } = await imported(file);
  const { api } = checked(file, Exported, exported);
  if (api !== DRIVER_API) throw otherVersion(file, api, DRIVER_API);
  checked(file, Module, exported);
  return exported as DriverModule;
}

async function imported(file: string): Promise<{ readonly default?: unknown }> {
  try {
    return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as { readonly default?: unknown };
  } catch (error) {
    throw invalid(file, `it cannot be loaded (${firstLine(error)})`, error);
  }
}

function checked<T>(file: string, schema: z.ZodType<T>, exported: unknown): T {
  const parsed = schema.safeParse(exported);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = ['its default export', ...(issue?.path ?? [])].join('.');
  throw invalid(file, `${place} has to be ${issue?.message ?? 'a driver'}`);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]?.slice(0, 200) ?? '';
}
