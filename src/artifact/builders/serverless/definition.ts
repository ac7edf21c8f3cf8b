import { z } from 'zod';

import { RelativePath } from '../../../lib/fields.ts';

const Glob = z.string().min(1).max(256);

export const Handler = z
  .string()
  .max(256, 'a handler of at most 256 characters')
  .regex(
    /^(?!\/)(?!(?:.*\/)?\.\.?\/)[^\p{Cc}\\${}]+\.[A-Za-z_$][\w$]*$/u,
    'a file and what it exports, such as src/thumbnail.handler',
  );

const FunctionName = z
  .string()
  .max(64, 'a name of at most 64 characters')
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'a name of letters, digits, hyphens and underscores');

/** The part of `towpath.yaml` under `build: { serverless: ... }`. */
export const ServerlessDefinition = z.strictObject({
  config: RelativePath.optional().describe(
    'The file of the Serverless Framework that names the functions, from the folder of the service (serverless.yml)',
  ),
  functions: z
    .record(
      FunctionName,
      z.strictObject({ handler: Handler.describe('File and export, such as src/thumbnail.handler') }),
    )
    .refine((functions) => Object.keys(functions).length > 0, 'at least one function')
    .optional()
    .describe('The functions, where there is no file of the Serverless Framework'),
  node: z.enum(['20', '22', '24']).optional().describe('The line of Node; by default what the file says, else 22'),
  include: z.array(Glob).max(64).default([]).describe('Only these files of the service go in; all when empty'),
  exclude: z.array(Glob).max(64).default([]).describe('These files stay out, of the zip and of its key'),
  dependencies: z
    .enum(['all', 'production'])
    .default('production')
    .describe('"all" keeps devDependencies in, for checks that run in the zip'),
  installScripts: z
    .enum(['run', 'ignore'])
    .default('run')
    .describe('"ignore" does not run install scripts of packages, as npm ci --ignore-scripts'),
  ignorePlugins: z
    .array(z.string().min(1).max(214))
    .max(64)
    .default([])
    .describe('Plugins of the Serverless Framework that change nothing of what is packaged: none is run'),
});
export type ServerlessDefinition = z.infer<typeof ServerlessDefinition>;
