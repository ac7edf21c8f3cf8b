import { z } from 'zod';

import { Name } from '../../../lib/fields.ts';

const Glob = z.string().min(1).max(256);

/** The part of `towpath.yaml` under `build: { node: ... }`. */
export const NodeDefinition = z.strictObject({
  from: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .describe(
      'A base service of this project, or an image reference with its tag; by default an image of Debian and Node alone',
    ),
  node: z
    .enum(['20', '22', '24'])
    .default('22')
    .describe('The line of Node in the default base image; an image of your own brings its own'),
  start: z
    .union([
      z
        .string()
        .min(1)
        .transform((file) => ['node', file]),
      z.array(z.string().min(1)).min(1).max(64),
    ])
    .describe('The file that node starts, or a whole command'),
  include: z.array(Glob).max(64).default([]).describe('Only these files of the service go in; all when empty'),
  exclude: z.array(Glob).max(64).default([]).describe('These files stay out, of the image and of its key'),
  dependencies: z
    .enum(['all', 'production'])
    .default('all')
    .describe('"production" leaves devDependencies out, and with them what checks in the image may need'),
  installScripts: z
    .enum(['run', 'ignore'])
    .default('run')
    .describe('"ignore" does not run install scripts of packages, as npm ci --ignore-scripts'),
  port: z.number().int().min(1).max(65535).optional().describe('Noted in the image for people; nothing is opened'),
});
export type NodeDefinition = z.infer<typeof NodeDefinition>;

/** What says how `node_modules` is made. */
export type NpmSettings = Pick<NodeDefinition, 'node' | 'dependencies' | 'installScripts'>;

/** A bare name is a base service of the project; an image reference has a tag, a digest or a registry besides. */
export function baseServicesOf({ from }: Pick<NodeDefinition, 'from'>): string[] {
  return from !== undefined && Name.safeParse(from).success ? [from] : [];
}
