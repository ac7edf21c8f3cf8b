import { z } from 'zod';

import { CONFIG_FILE } from './config-file.ts';
import { configSchema, type Families } from './config.ts';

/**
 * The JSON Schema of towpath.yaml, for editors: what may be written, before defaults. It knows every key and word; names
 * that point to other parts of the file are checked only when the file is read.
 */
export function jsonSchemaOf(families: Families): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(configSchema(families), {
    io: 'input',
    target: 'draft-2020-12',
    unrepresentable: 'throw',
    reused: 'ref',
  });
  return { $schema, title: CONFIG_FILE, ...schema };
}
